import { LabIcon } from '@jupyterlab/ui-components';

/** A falling loss in its axes. */
const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">
  <g class="jp-icon3 jp-icon-selectable" fill="#616161">
    <path d="M3 3h2v16h16v2H3z"/>
    <path d="M7.2 4.6 9 3.8c1.6 3.7 2.2 5.1 3.2 6.5 1.6 2.3 3.6 3.3 8.8 3.9l-.2 2c-5.7-.65-8.2-1.9-10.2-4.75-1.2-1.7-1.85-3.2-3.4-6.85z"/>
    <circle cx="18.5" cy="7" r="2.2"/>
  </g>
</svg>`;

export const panelIcon = new LabIcon({ name: 'detjupyter:panel', svgstr: svg });

/** A circle struck through: leave this out. */
export const excludeIcon = new LabIcon({
  name: 'detjupyter:exclude',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">
  <path class="jp-icon3" fill="#616161" d="M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zm0 2c1.6 0 3 .5 4.2 1.4L6.4 16.2A7 7 0 0 1 12 5zm0 14c-1.6 0-3-.5-4.2-1.4l9.8-9.8A7 7 0 0 1 12 19z"/>
</svg>`
});

/** A circle with a plus: let this ship. */
export const includeIcon = new LabIcon({
  name: 'detjupyter:include',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">
  <path class="jp-icon3" fill="#616161" d="M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zm0 2a7 7 0 1 1 0 14 7 7 0 0 1 0-14zm-1 3h2v3h3v2h-3v3h-2v-3H8v-2h3z"/>
</svg>`
});

/** Bars from long to short: biggest first. */
export const biggestFirstIcon = new LabIcon({
  name: 'detjupyter:biggest-first',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">
  <path class="jp-icon3" fill="#616161" d="M4 5h16v3H4zm0 5.5h10v3H4zM4 16h5v3H4z"/>
</svg>`
});

/** A triangle with an exclamation mark: something would be missing on another machine. */
export const warningIcon = new LabIcon({
  name: 'detjupyter:warning',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">
  <path class="jp-icon-warn0" fill="#d18b00" d="M12 3 1.8 20.5h20.4L12 3zm0 4 6.7 11.5H5.3L12 7zm-1 3.5h2v4.5h-2zm0 5.5h2v1.8h-2z"/>
</svg>`
});

/** A star: this run matters. */
export const starIcon = new LabIcon({
  name: 'detjupyter:star',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">
  <path class="jp-icon3" fill="#616161" d="m12 3 2.7 5.9 6.3.7-4.7 4.3 1.3 6.3L12 17l-5.6 3.2 1.3-6.3L3 9.6l6.3-.7z"/>
</svg>`
});

/** A box with a lid: out of the way, but not deleted. */
export const archiveIcon = new LabIcon({
  name: 'detjupyter:archive',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">
  <path class="jp-icon3" fill="#616161" d="M3 4h18v5H3zm2 6h14v10H5zm4 2v2h6v-2z"/>
</svg>`
});
