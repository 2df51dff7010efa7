import { describe, expect, it } from 'vitest';

import { loadLine, namedConfig } from '../live/load';
import type { LoadRecipe } from '../protocol';

function recipe(path: string, config: LoadRecipe['config']): LoadRecipe {
  return { entrypoint: 'm:T', path, config } as LoadRecipe;
}

describe('the line that loads a definition', () => {
  it('names a config only if it must be named', () => {
    expect(loadLine('m:T', null)).toBe('%det_load m:T');
    expect(loadLine('m:T', 'adaptive.yaml')).toBe('%det_load m:T --config adaptive.yaml');
  });

  it('quotes a name as a shell would need it', () => {
    expect(loadLine('m:T', "my 'own'.yaml")).toBe(`%det_load m:T --config 'my '"'"'own'"'"'.yaml'`);
  });

  it('takes the config of a recipe relative to its definition', () => {
    expect(namedConfig(recipe('/home/me/net', '/home/me/net/a.yaml'))).toBe('a.yaml');
    expect(namedConfig(recipe('/home/me/net/tiny.py', '/home/me/net/a.yaml'))).toBe('a.yaml');
    expect(namedConfig(recipe('/home/me/net', '/home/me/other/a.yaml'))).toBe('/home/me/other/a.yaml');
  });

  it('names none for a recipe without a file', () => {
    expect(namedConfig(null)).toBeNull();
    expect(namedConfig(recipe('/net', null))).toBeNull();
    expect(namedConfig(recipe('/net', { hyperparameters: {} }))).toBeNull();
  });
});
