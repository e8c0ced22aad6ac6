// Another user of the machine: tries what it is told at a path, without any import, and tells how that went.
const [what, path] = Deno.args;
const actions = {
  connect: async () => (await Deno.connect({ transport: "unix", path })).close(),
  list: () => void [...Deno.readDirSync(path)],
  read: () => void Deno.readFileSync(path),
  replace: () => Deno.renameSync(path, `${path}.gone`),
  remove: () => Deno.removeSync(path),
  squat: () => Deno.mkdirSync(path, { mode: 0o755 }),
  link: () => Deno.symlinkSync("/tmp", path),
  listen: async () => {
    const listener = Deno.listen({ transport: "unix", path });
    Deno.chmodSync(path, 0o666);
    console.log(JSON.stringify({ done: what, uid: Deno.uid() }));
    await listener.accept();
  },
};
try {
  await actions[what]();
  console.log(JSON.stringify({ done: what, uid: Deno.uid() }));
} catch (error) {
  console.log(JSON.stringify({ failed: error.name, uid: Deno.uid() }));
}
