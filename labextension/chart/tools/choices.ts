/** What the user chose for the charts of a definition. */
export interface Choices {
  axis: AxisName;
  /** Weight of the past, from 0 (off) to below 1. */
  smoothing: number;
  ignoresOutliers: boolean;
  /** Groups that differ from how they begin: closed, or open among very many. */
  toggled: readonly string[];
  pinned: readonly string[];
}

export type AxisName = (typeof AXIS_NAMES)[number];

export const AXIS_NAMES = ['batch', 'epoch', 'relative', 'wall'] as const;

const PREFIX = 'detjupyter:charts:';
const DEFAULTS: Choices = { axis: 'batch', smoothing: 0, ignoresOutliers: false, toggled: [], pinned: [] };

/** Return what was chosen for `definition` in this browser; the defaults for null, and for what cannot be read. */
export function readChoices(definition: string | null): Choices {
  try {
    const text = definition === null ? null : localStorage.getItem(PREFIX + definition);
    return checked((JSON.parse(text ?? '{}') ?? {}) as Partial<Choices>);
  } catch {
    return DEFAULTS; // not ours, or the browser keeps nothing
  }
}

/** Keep what was chosen, for the next chart of `definition`. */
export function keepChoices(definition: string | null, choices: Choices): void {
  if (definition !== null) {
    try {
      localStorage.setItem(PREFIX + definition, JSON.stringify(choices));
    } catch {
      // full, or forbidden: the choice holds for this page
    }
  }
}

function checked({ axis, smoothing, ignoresOutliers, toggled, pinned }: Partial<Choices>): Choices {
  return {
    axis: AXIS_NAMES.find(name => name === axis) ?? DEFAULTS.axis,
    smoothing: typeof smoothing === 'number' && smoothing > 0 && smoothing < 1 ? smoothing : 0,
    ignoresOutliers: ignoresOutliers === true,
    toggled: texts(toggled),
    pinned: texts(pinned)
  };
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter(item => typeof item === 'string') : [];
}
