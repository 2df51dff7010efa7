// @vitest-environment happy-dom
import * as React from 'react';
import { act } from 'react';
import { expect, it, vi } from 'vitest';

import type { Api } from '../src/api';
import { Curves } from '../src/model/curves';
import { RunSource } from '../src/model/source';
import { CurvesChart } from '../src/views/chart';
import { run } from './records';

/** What the test needs of `react-dom/client`, whose types are no dependency. */
interface Client {
  createRoot(host: Element): { render(element: React.ReactNode): void; unmount(): void };
}

/** The runs that were asked for a range. */
const asked: string[] = [];
const ranges: (() => void)[] = [];

vi.mock('../chart', () => ({
  ChartGrid: class {
    constructor(_: unknown, { extras }: { extras: (grid: unknown) => unknown }) {
      extras(this);
    }
    apply(): void {}
    dispose(): void {}
  }
}));
vi.mock('../chart/tools', () => ({
  ChartTools: class {
    constructor(_: unknown, { fetchRange }: { fetchRange?: (range: object) => Promise<unknown> }) {
      ranges.push(() => void fetchRange?.({ run: '', from: 0, to: 1 }));
    }
    dispose(): void {}
  }
}));

it('the charts of another run ask for the ranges of that run', async () => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  const api = {
    story: () => new Promise(() => undefined),
    seriesBetween: (id: string) => {
      asked.push(id);
      return Promise.resolve([]);
    }
  } as unknown as Api;
  const curves = new Curves();
  const { createRoot } = await vi.importActual<Client>('react-dom/client');
  const root = createRoot(document.body.appendChild(document.createElement('div')));
  for (const id of ['a', 'b']) {
    act(() =>
      root.render(React.createElement(CurvesChart, { curves, run: new RunSource(api, run({ id })) }))
    );
    ranges.at(-1)!();
  }
  act(() => root.unmount());
  expect(asked).toEqual(['a', 'b']);
});
