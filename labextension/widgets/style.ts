/** The rules of the live view, in JupyterLab's variables with fallbacks for front ends that lack them. */
export const CSS = `
.dj-live { --dj-line: var(--jp-border-color2, rgba(128, 128, 128, 0.35)); --dj-brand: var(--jp-brand-color1, #1976d2);
  --dj-mono: var(--jp-code-font-family, ui-monospace, Menlo, Consolas, monospace);
  container-type: inline-size; box-sizing: border-box; width: 100%; min-width: 0; display: flex; flex-direction: column; gap: 10px; padding: 12px;
  border: 1px solid var(--dj-line); border-radius: 6px; color: var(--jp-ui-font-color1, inherit); background: var(--jp-layout-color1, transparent);
  font-family: var(--jp-ui-font-family, system-ui, -apple-system, 'Segoe UI', sans-serif); font-size: 13px; line-height: 1.4; }
.dj-live *, .dj-live *::before, .dj-live *::after { box-sizing: border-box; }
.dj-live [hidden] { display: none !important; }
.dj-live:focus-visible { outline: 2px solid var(--dj-brand); outline-offset: -1px; }
.dj-live-head { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 10px; min-width: 0; }
.dj-live-entrypoint { flex: 1 1 120px; min-width: 0; font-weight: 600; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.dj-live-device { flex: 0 1 auto; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  color: var(--jp-ui-font-color2, inherit); font-variant-numeric: tabular-nums; }
.dj-live-badge { --dj-tone: 128, 128, 128; flex: none; display: inline-flex; align-items: center; gap: 6px; padding: 1px 9px 1px 8px; border-radius: 10px;
  font-size: 12px; font-weight: 600; background: rgba(var(--dj-tone), 0.16); }
.dj-live-badge::before { content: ''; width: 8px; height: 8px; border-radius: 50%; background: rgb(var(--dj-tone)); }
.dj-live[data-dj-state='running'] .dj-live-badge { --dj-tone: 25, 118, 210; }
.dj-live[data-dj-state='paused'] .dj-live-badge { --dj-tone: 214, 138, 0; }
.dj-live[data-dj-state='paused'] .dj-live-badge::before { border-radius: 1px; }
.dj-live[data-dj-state='finished'] .dj-live-badge { --dj-tone: 56, 142, 60; }
.dj-live[data-dj-state='failed'] .dj-live-badge { --dj-tone: 211, 47, 47; }
.dj-live[data-dj-state='running'] .dj-live-badge::before { animation: dj-live-pulse 1.6s ease-in-out infinite; }
@keyframes dj-live-pulse { 50% { opacity: 0.35; } }
@media (prefers-reduced-motion: reduce) { .dj-live[data-dj-state='running'] .dj-live-badge::before { animation: none; } }
.dj-live-bar { height: 6px; border-radius: 3px; overflow: hidden; background: rgba(128, 128, 128, 0.25); }
.dj-live-bar::before { content: ''; display: block; height: 100%; border-radius: 3px; width: calc(var(--dj-fraction, 0) * 100%); background: var(--dj-brand); }
.dj-live[data-dj-state='paused'] .dj-live-bar::before { background: rgb(214, 138, 0); }
.dj-live[data-dj-state='failed'] .dj-live-bar::before { background: rgb(211, 47, 47); }
.dj-live-facts { display: flex; flex-wrap: wrap; gap: 2px 16px; min-height: 18px; margin-top: -4px; font-variant-numeric: tabular-nums;
  color: var(--jp-ui-font-color2, inherit); }
.dj-live-fact { white-space: nowrap; }
.dj-live-fact[data-dj-fact='percent'] { min-width: 2.8em; font-weight: 600; color: var(--jp-ui-font-color1, inherit); }
.dj-live-fact[data-dj-fact='activity'] { font-weight: 600; color: var(--jp-ui-font-color1, inherit); }
.dj-live-controls { display: flex; flex-wrap: wrap; gap: 6px; }
.dj-live-button { display: inline-flex; align-items: center; justify-content: center; gap: 6px; min-width: 78px; height: 28px; padding: 0 10px; font: inherit;
  color: inherit; cursor: pointer; background: var(--jp-layout-color2, rgba(128, 128, 128, 0.12)); border: 1px solid var(--dj-line); border-radius: 4px; }
.dj-live-button[data-dj-command='pause'], .dj-live-button[data-dj-command='resume'] { min-width: 124px; }
.dj-live-button svg { width: 12px; height: 12px; flex: none; fill: currentColor; }
.dj-live-button:hover:not(:disabled) { background: var(--jp-layout-color3, rgba(128, 128, 128, 0.25)); }
.dj-live-button:active:not(:disabled) { transform: translateY(1px); }
.dj-live-button:focus-visible { outline: 2px solid var(--dj-brand); outline-offset: 1px; }
.dj-live-button:disabled { cursor: default; opacity: 0.4; }
.dj-live-button[aria-busy='true'] { cursor: progress; opacity: 0.75; }
@container (max-width: 480px) {
  .dj-live-button { flex: 1 1 auto; }
  .dj-live-device { flex-basis: 100%; }
}
.dj-live-message { padding: 6px 10px; border-left: 3px solid rgb(214, 138, 0); background: rgba(214, 138, 0, 0.12); border-radius: 0 4px 4px 0; overflow-wrap: anywhere;
  white-space: pre-line; }
.dj-live-message:empty { display: none; }
.dj-live-error { border-left: 3px solid rgb(211, 47, 47); background: rgba(211, 47, 47, 0.1); border-radius: 0 4px 4px 0; padding: 8px 10px; min-width: 0; }
.dj-live-error:empty { display: none; }
.dj-live-error-summary { display: block; overflow-wrap: anywhere; white-space: pre-line; }
.dj-live .dj-live-traceback { margin: 6px 0 0; padding: 0; max-height: 260px; overflow: auto; color: inherit; background: transparent; font-family: var(--dj-mono); font-size: 12px;
  line-height: 1.45; white-space: pre; }
.dj-live-charts:empty { display: none; }
.dj-live-log { border-top: 1px solid var(--dj-line); padding-top: 8px; min-width: 0; }
.dj-live-log > summary { cursor: pointer; color: var(--jp-ui-font-color2, inherit); width: fit-content; }
.dj-live-log > summary:focus-visible { outline: 2px solid var(--dj-brand); outline-offset: 2px; }
.dj-live-log-lines { margin-top: 6px; max-height: 200px; overflow: auto; font-family: var(--dj-mono); font-size: 12px; line-height: 1.5; white-space: pre-wrap;
  overflow-wrap: anywhere; }
.dj-live-log-lines.dj-mod-empty::before { content: 'Nothing written yet.'; opacity: 0.7; }
.dj-live-log-lines time { opacity: 0.55; margin-right: 4px; }
.dj-live-hint { margin-top: 6px; color: var(--jp-ui-font-color2, inherit); overflow-wrap: anywhere; }
.dj-live-log-lines [data-dj-stream='stderr'] { color: var(--jp-error-color1, #d32f2f); }
.dj-live-log-lines [data-dj-stream='detjupyter'] { font-style: italic; opacity: 0.85; }
`;
