/** What tells runs apart whose classes have the same name. */
import type { RunRecord } from '../../protocol';

/** `directory`: what to write in front of the entrypoint; '' if no other directory has it. `isModuleNeeded`: another module has the class. */
export interface Title {
  directory: string;
  isModuleNeeded: boolean;
}

type Named = Pick<RunRecord, 'definition_root' | 'entrypoint'>;

/** Return the title of each run, by the key of {@link keyOf}. */
export function titlesOf(runs: readonly Named[]): ReadonlyMap<string, Title> {
  const roots = new Map<string, Set<string>>();
  const entrypoints = new Map<string, Set<string>>();
  for (const { definition_root, entrypoint } of runs) {
    add(roots, entrypoint, definition_root);
    add(entrypoints, classOf(entrypoint), entrypoint);
  }
  const titles = new Map<string, Title>();
  for (const [entrypoint, found] of roots) {
    const isModuleNeeded = (entrypoints.get(classOf(entrypoint))?.size ?? 0) > 1;
    const directories = shortest([...found]);
    for (const [definition_root, directory] of directories) {
      titles.set(keyOf({ definition_root, entrypoint }), { directory, isModuleNeeded });
    }
  }
  return titles;
}

export function keyOf({ definition_root, entrypoint }: Named): string {
  return `${entrypoint}\n${definition_root}`;
}

/** Split an entrypoint in its module, with the colon, and its class. */
export function moduleOf(entrypoint: string): string {
  return entrypoint.slice(0, entrypoint.lastIndexOf(':') + 1);
}

export function classOf(entrypoint: string): string {
  return entrypoint.slice(entrypoint.lastIndexOf(':') + 1);
}

/** Return for each of several paths the part that tells it from the others, read from its end: `b` and `c` for `/a/b/x` and `/a/c/x`. */
function shortest(paths: readonly string[]): ReadonlyMap<string, string> {
  const split = paths.map(path => path.split(/[\\/]/).filter(part => part !== ''));
  if (paths.length === 1) {
    return new Map([[paths[0] as string, '']]);
  }
  const ends = split.map(parts => endOf(parts, split));
  const firsts = ends.map(end => end[0] ?? '');
  return new Map(
    paths.map((path, index) => {
      const first = firsts[index] as string;
      const isUnique = firsts.filter(other => other === first).length === 1;
      return [path, isUnique ? first : (ends[index] as string[]).join('/')];
    })
  );
}

/** Return the fewest last parts that no other path ends with; all of them if another path ends with them all. */
function endOf(parts: readonly string[], all: readonly (readonly string[])[]): string[] {
  for (let count = 1; count < parts.length; count += 1) {
    const end = parts.slice(-count);
    const isShared = all.some(
      other => other !== parts && end.every((part, index) => other[other.length - count + index] === part)
    );
    if (!isShared) {
      return end;
    }
  }
  return [...parts];
}

function add(sets: Map<string, Set<string>>, key: string, value: string): void {
  const known = sets.get(key);
  if (known === undefined) {
    sets.set(key, new Set([value]));
  } else {
    known.add(value);
  }
}
