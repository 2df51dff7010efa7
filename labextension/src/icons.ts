import { LabIcon } from '@jupyterlab/ui-components';

/** A falling loss in its axes. */
const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">
  <g class="jp-icon3 jp-icon-selectable" fill="#616161">
    <path d="M3 3h2v16h16v2H3z"/>
    <path d="M7.2 4.6 9 3.8c1.6 3.7 2.2 5.1 3.2 6.5 1.6 2.3 3.600 3.300 8.800 3.900l-.2 2c-5.700-.65-8.200-1.900-10.200-4.750-1.200-1.700-1.850-3.200-3.400-6.850z"/>
    <circle cx="18.500" cy="7" r="2.200"/>
  </g>
</svg>`;

export const panelIcon = new LabIcon({ name: 'detjupyter:panel', svgstr: svg });
