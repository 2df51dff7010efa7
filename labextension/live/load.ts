/** The lines that load a definition, or a run. */
import type { LoadRecipe } from '../protocol';

const PLAIN = /^[\w./~-]+$/;

/** The line for an entrypoint, with a config if it must be named. */
export function loadLine(entrypoint: string, config: string | null): string {
  return `%det_load ${entrypoint}${config === null ? '' : ` --config ${quoted(config)}`}`;
}

/** The line that loads what a run was loaded from, and restores its latest checkpoint. */
export function continueLine(runId: string): string {
  return `%det_load --from ${runId}`;
}

/** The line that restores a checkpoint in the current session. */
export function restoreLine(checkpointId: string): string {
  return `%det_restore ${checkpointId}`;
}

/** Lines for a cell; a kernel that has not `loaded` the extension needs one more. */
export function lines(loaded: boolean, ...magics: readonly string[]): string {
  return [...(loaded ? [] : ['%load_ext detjupyter']), ...magics].join('\n');
}

/** The config file that a recipe names, relative to the definition if it is inside it; null if it names none. */
export function namedConfig(recipe: LoadRecipe | null): string | null {
  const config = recipe?.config;
  if (recipe === null || typeof config !== 'string') {
    return null;
  }
  const root = recipe.path.endsWith('.py') ? recipe.path.slice(0, recipe.path.lastIndexOf('/')) : recipe.path;
  return config.startsWith(`${root}/`) ? config.slice(root.length + 1) : config;
}

/** A word of a magic's line, which is split as by a shell. */
function quoted(word: string): string {
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", "'\"'\"'")}'`;
}
