import { MOST_COMPARED } from '../../protocol';
import type { ChartPatch } from '../curve';
import { stops } from '../legend';
import type { Facts } from './axis';
import { button, cutName, element } from './dom';
import { type ChartRun, type ChartRuns, runLook } from './runs';
import { openWindow } from './window';

/** A run that can be laid over that of the charts; `detail` says more about it than its name. */
export interface OtherRun {
  id: string;
  name: string;
  detail: string;
}

/** Where other runs come from. */
export interface OtherRuns {
  list(): Promise<readonly OtherRun[]>;
  /** Return what the charts need of a run. */
  open(id: string): Promise<{ facts: Facts; patches: readonly ChartPatch[] }>;
}

/** What the charts do with other runs. */
interface Charts {
  add(run: ChartRun, patches: readonly ChartPatch[]): void;
  remove(id: string): void;
}

/** Names the runs of the charts when there are several, with their looks, and lets the user lay others over the first one. */
export class RunsBar {
  readonly element = element('div', 'dj-bar-runs');
  private readonly names = element('div', 'dj-bar-names');
  private isDark: boolean | null = null;

  constructor(
    private readonly source: OtherRuns | undefined,
    private readonly runs: ChartRuns,
    private readonly charts: Charts
  ) {
    this.element.append(this.names);
    if (source !== undefined) {
      const title = 'Lay the curves of other runs over these';
      this.element.append(
        button('dj-panel-button dj-bar-compare', 'Compare with…', title, () => void this.choose(source))
      );
    }
  }

  /** Show which runs there are, if the page or they have changed since. */
  show(isDark: boolean, areOthers = false): void {
    if (isDark === this.isDark && !areOthers) {
      return;
    }
    this.isDark = isDark;
    const { all, areSeveral } = this.runs;
    this.names.replaceChildren(
      ...(areSeveral ? all : []).map(run => {
        const { stroke, dash } = runLook(run.place, 'training', isDark);
        const swatch = element('span', 'dj-swatch');
        swatch.style.cssText = `--dj-swatch:${stroke};--dj-dash:${stops(dash)}`;
        const name = element('span', 'dj-bar-name-text', ...cutName(run.name));
        const chip = element('span', 'dj-bar-name', swatch, name);
        chip.title = run.name;
        if (this.source !== undefined && run.id !== '') {
          const remove = button('dj-panel-button', '✕', `Remove ${run.name} from the charts`, () => {
            this.charts.remove(run.id);
            this.element.querySelector<HTMLElement>('.dj-bar-compare')?.focus();
          });
          remove.setAttribute('aria-label', remove.title);
          chip.append(remove);
        }
        return chip;
      })
    );
  }

  private async choose(source: OtherRuns): Promise<void> {
    const list = element('div', 'dj-others', 'Loading…');
    const filter = element('input', 'dj-bar-filter');
    filter.type = 'search';
    filter.placeholder = 'Filter runs';
    filter.setAttribute('aria-label', 'Filter runs');
    const problem = element('p', 'dj-others-problem');
    problem.setAttribute('role', 'alert');
    openWindow(
      'Compare with other runs',
      element('div', 'dj-others-window', filter, problem, list),
      () => undefined
    );
    try {
      const found = await source.list();
      const rows = found.map(run => this.row(source, run, text => (problem.textContent = text)));
      list.replaceChildren(...(rows.length > 0 ? rows : ['There are no other runs.']));
      filter.addEventListener('input', () => {
        const words = filter.value.toLowerCase().split(/\s+/);
        rows.forEach(row => {
          const text = row.textContent.toLowerCase();
          row.hidden = !words.every(word => text.includes(word));
        });
      });
    } catch (error) {
      list.replaceChildren();
      problem.textContent = (error as Error).message;
    }
  }

  private row(
    source: OtherRuns,
    { id, name, detail }: OtherRun,
    say: (problem: string) => void
  ): HTMLElement {
    const box = element('input', '');
    box.type = 'checkbox';
    box.checked = this.runs.has(id);
    box.addEventListener('change', () => {
      say('');
      if (!box.checked) {
        this.charts.remove(id);
      } else if (this.runs.all.length >= MOST_COMPARED) {
        box.checked = false;
        say(`The charts show up to ${MOST_COMPARED} runs.`);
      } else {
        box.disabled = true;
        source
          .open(id)
          .then(
            ({ facts, patches }) => this.charts.add({ id, name, facts }, patches),
            (error: Error) => {
              box.checked = false;
              say(error.message);
            }
          )
          .finally(() => {
            box.disabled = false;
            box.focus();
          });
      }
    });
    const row = element(
      'label',
      'dj-others-row',
      box,
      element('span', 'dj-others-name', name),
      element('span', 'dj-others-detail', detail)
    );
    row.title = `${name}\n${id}\n${detail}`;
    return row;
  }
}
