// The page's HTML: landmarks and empty places that the script fills.

/** The page. */
export const HTML: string = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Parley</title>
<link rel="icon" href="icon.svg"><link rel="stylesheet" href="page.css"><script src="page.js" defer></script>
<h1 id="title">Parley</h1>
</html>
`;

/** The page's icon. */
export const ICON: string =
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" fill="#2a7d6f"/></svg>\n`;
