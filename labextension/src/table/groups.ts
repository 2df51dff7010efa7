/** The titles of groups of runs. */
import type { RunGroup } from '../../protocol';

/** What the value of a group begins with whose notebook is unknown. */
const KERNEL = 'kernel:';

/** Return the kernel of a group of runs whose notebook is unknown, null for any other group. */
export function kernelOf(value: string): string | null {
  return value.startsWith(KERNEL) ? value.slice(KERNEL.length) : null;
}

function nameOf(path: string): string {
  return path.split('/').at(-1) ?? path;
}

/** Return what all runs of a group have in common. */
export function groupTitle({ by, value, count }: RunGroup): string {
  switch (by) {
    case 'definition': {
      const [root = '', entrypoint = ''] = value.split('\n');
      return `${nameOf(root)} · ${entrypoint}`;
    }
    case 'notebook': {
      const kernel = kernelOf(value);
      if (kernel !== null) {
        return `Kernel ${kernel.slice(0, 8)}, of an unknown notebook`;
      }
      const folder = value.split('/').at(-2) ?? '';
      return value === '' ? 'Without a notebook' : `${nameOf(value)}${folder === '' ? '' : ` · ${folder}`}`;
    }
    case 'code':
      return value === '' ? 'Code not stored' : `Code ${value.slice(0, 12)}`;
    default:
      return count === 1 ? 'Failed before its first batch' : 'Failed before their first batch';
  }
}
