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
