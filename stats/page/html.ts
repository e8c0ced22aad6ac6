// The page's HTML: landmarks, and empty places that the script fills. Nothing in it comes from a peer.

/** The page. */
export const HTML: string = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Statistics</title>
<link rel="icon" href="icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="page.css">
<script src="uplot.js" defer></script>
<script type="module" src="page.js"></script>
</head>
<body>
<a class="skip" href="#main">Skip to the statistics</a>
<header class="top">
  <div class="brand">
    <img src="icon.svg" alt="" width="28" height="28">
    <h1 id="title">Statistics</h1>
  </div>
  <p class="lamp" id="ready" data-state="unknown">Waiting</p>
  <p class="live" id="live" role="status">Connecting</p>
</header>
<fieldset class="ranges">
  <legend>Range of the plots</legend>
  <label><input type="radio" name="range" value="minute"><span>1 min</span></label>
  <label><input type="radio" name="range" value="minutes" checked><span>5 min</span></label>
  <label><input type="radio" name="range" value="hour"><span>1 h</span></label>
  <label><input type="radio" name="range" value="day"><span>24 h</span></label>
</fieldset>
<main id="main" tabindex="-1">
  <noscript><p class="empty">This page needs its script. The same numbers are in
    <a href="stats.json">stats.json</a>.</p></noscript>
  <section class="card" id="overview" aria-label="Overview" hidden>
    <div class="scroll" role="region" tabindex="0"><table>
      <caption>Sources</caption><thead></thead><tbody></tbody>
    </table></div>
  </section>
  <div id="sources"></div>
  <section class="card" id="process" aria-labelledby="process-name" hidden>
    <header class="name"><h2 id="process-name">Process</h2><p class="where"></p></header>
    <dl class="tiles"></dl>
    <div class="plots"></div>
    <p class="note">Event-loop delay: how late a timer of this process ran, at most, since the sample before; so long
      every message may have had to wait for its turn. Request latency: from the arrival of a message or query to the
      handler’s next send, return or answer. Ping: the longest of the sessions’ last round trips. 95 %: so many of all
      since the sample before took no longer.</p>
  </section>
</main>
<footer>
  <nav aria-label="For machines">
    <ul>
      <li><a href="stats.json">stats.json</a></li>
      <li><a href="metrics">metrics</a></li>
      <li><a href="healthz">healthz</a></li>
      <li><a href="readyz">readyz</a></li>
    </ul>
  </nav>
</footer>
<template id="source">
  <section class="card">
    <header class="name">
      <h2></h2>
      <p class="lamp"></p>
      <p class="where"></p>
    </header>
    <dl class="tiles"></dl>
    <div class="plots"></div>
    <div class="tables">
      <div class="links"><p class="find"><input type="search" placeholder="Find" autocomplete="off" spellcheck="false">
        <output></output></p><div class="scroll" role="region" tabindex="0"><table>
        <caption>Connections</caption><thead></thead><tbody></tbody>
      </table></div><p class="empty"></p></div>
      <div class="wire" hidden>
      <div class="calls"><div class="scroll" role="region" tabindex="0"><table>
        <caption>Who calls whom</caption><thead></thead><tbody></tbody>
      </table></div><p class="empty"><b>Who calls whom</b> No streams now.</p></div>
      <div class="traffic"><div class="scroll" role="region" tabindex="0"><table>
        <caption>Traffic by name</caption><thead></thead><tbody></tbody>
      </table></div><p class="empty"><b>Traffic by name</b> No streams so far.</p></div>
      <div class="offers"><div class="scroll" role="region" tabindex="0"><table>
        <caption>Offers</caption><thead></thead><tbody></tbody>
      </table></div><p class="empty"><b>Offers</b> None.</p></div>
      </div>
      <div class="recent"><div class="scroll" role="region" tabindex="0"><table>
        <caption>Recent errors</caption><thead></thead><tbody></tbody>
      </table></div><p class="empty"><b>Recent errors</b> None so far.</p></div>
      <div class="requests"><div class="scroll" role="region" tabindex="0"><table>
        <caption>Requests by duration</caption><thead></thead><tbody></tbody>
      </table></div></div>
      <div class="faults"><div class="scroll" role="region" tabindex="0"><table>
        <caption>Errors and refusals</caption><thead></thead><tbody></tbody>
      </table></div><p class="empty"><b>Errors and refusals</b> None so far.</p></div>
      <div class="days"><div class="scroll" role="region" tabindex="0"><table>
        <caption>Day by day</caption><thead></thead><tbody></tbody>
      </table></div></div>
    </div>
  </section>
</template>
<template id="plot">
  <figure class="plot">
    <figcaption><span class="plot-name"></span><span class="legend"></span></figcaption>
    <div class="frame">
      <div class="canvas" role="img" tabindex="0"></div>
      <p class="readout" hidden></p>
    </div>
  </figure>
</template>
</body>
</html>
`;

/** The page's icon: two streams that pass each other. */
export const ICON: string =
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" fill="none" stroke-width="3" stroke-linecap="round">
<rect width="32" height="32" rx="8" fill="#0f766e"/>
<path d="M7 12h13m-4-4 4 4-4 4" stroke="#fff" stroke-linejoin="round"/>
<path d="M25 21H12m4-4-4 4 4 4" stroke="#a7e8de" stroke-linejoin="round"/>
</svg>
`;
