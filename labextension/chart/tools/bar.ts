import type { Axis } from './axis';
import { AXIS_NAMES, type Choices } from './choices';
import { button, element } from './dom';

/** From so many panels on, they can be filtered. */
const MANY = 6;
/** The slider's right end; 1 would forget every new value. */
const STRONGEST = 0.99;

/** What the user can change above the charts. */
export class Bar {
  readonly element = element('div', 'dj-bar');
  readonly filter = element('input', 'dj-bar-filter');
  private readonly axis = element('select', 'dj-bar-axis');
  private readonly slider = element('input', 'dj-bar-slider');
  private readonly weight = element('span', 'dj-bar-weight');
  private readonly outliers: HTMLButtonElement;
  private readonly found = element('span', 'dj-bar-found');

  /**
   * @param choose - Takes what the user chose.
   * @param filtered - The text of the filter changed.
   */
  constructor(
    private readonly choose: (choices: Partial<Choices>) => void,
    filtered: () => void
  ) {
    this.element.setAttribute('role', 'group');
    this.element.setAttribute('aria-label', 'Charts');
    this.element.hidden = true;
    this.filter.type = 'search';
    this.filter.placeholder = 'Filter metrics';
    this.filter.setAttribute('aria-label', 'Filter metrics by words of their names');
    this.filter.addEventListener('input', filtered);
    this.found.setAttribute('role', 'status');
    this.slider.type = 'range';
    [this.slider.min, this.slider.max, this.slider.step] = ['0', String(STRONGEST), '0.01'];
    this.slider.title =
      'Smoothing: weight of the past in an exponential moving average. The values themselves stay visible, faint.';
    this.slider.setAttribute('aria-label', 'Smoothing');
    this.slider.addEventListener('input', () => this.choose({ smoothing: Number(this.slider.value) }));
    const smoothing = element('label', 'dj-bar-smoothing', 'Smooth', this.slider, this.weight);
    this.outliers = button(
      'dj-panel-button',
      'no outliers',
      'Leave single far values out of the y range; an arrow says how many are cut',
      () => this.choose({ ignoresOutliers: this.outliers.getAttribute('aria-pressed') !== 'true' })
    );
    this.axis.title = 'What the x axis counts';
    this.axis.setAttribute('aria-label', 'What the x axis counts');
    this.axis.addEventListener('change', () =>
      this.choose({ axis: AXIS_NAMES.find(name => name === this.axis.value) ?? 'batch' })
    );
    this.element.append(this.filter, this.found, smoothing, this.outliers, this.axis);
  }

  /** Show the present choices, and offer the axes that the run allows. */
  show({ smoothing, ignoresOutliers }: Choices, axes: readonly Axis[], chosen: Axis): void {
    this.slider.value = String(smoothing);
    this.slider.setAttribute('aria-valuetext', smoothing === 0 ? 'off' : String(smoothing));
    this.weight.textContent = smoothing === 0 ? 'off' : smoothing.toFixed(2);
    this.outliers.setAttribute('aria-pressed', String(ignoresOutliers));
    const options = axes.map(({ name, title }) => {
      const option = element('option', '', title);
      option.value = name;
      return option;
    });
    this.axis.replaceChildren(...options);
    this.axis.value = chosen.name;
    this.axis.hidden = axes.length < 2;
  }

  /** Say how many of the panels the filter found. */
  count(shown: number, all: number): void {
    this.element.hidden = all === 0;
    this.filter.hidden = all <= MANY;
    const isFiltered = this.filter.value.trim() !== '';
    this.found.textContent = isFiltered ? `${shown} of ${all}` : '';
    this.element.classList.toggle('dj-mod-none', isFiltered && shown === 0);
  }
}
