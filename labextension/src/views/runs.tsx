/** Section "Runs": the history, newest first; a run opens in place. */
import * as React from 'react';

import type { PanelModel } from '../model/panel';
import type { RunsModel } from '../model/runs';
import { Run } from './run';
import { Code, Empty, Failure, Loading } from './state';
import { keyOf, titlesOf } from './titles';

/** How often "3 min ago" is updated. */
const TICK_MS = 30_000;

export function RunsView({ model }: { model: PanelModel }): JSX.Element {
  const { runs } = model;
  const [openId, setOpenId] = React.useState<string | null>(null);
  const nowS = useNow();
  const titles = React.useMemo(() => titlesOf(runs.list), [runs.list]);
  const toggle = React.useCallback((id: string) => setOpenId(open => (open === id ? null : id)), []);

  if (runs.state === 'loading') {
    return <Loading />;
  }
  if (runs.state === 'failed' && runs.error !== null) {
    return <Failure error={runs.error} onRetry={() => void runs.refresh()} />;
  }
  if (runs.list.length === 0) {
    return (
      <Empty title="No runs yet">
        <p>Every training is kept here, also when its kernel or its notebook is gone.</p>
        <Code>%det_train --epochs 5</Code>
      </Empty>
    );
  }
  return (
    <>
      {model.openRuns !== null && (
        <div className="dj-Runs-tools">
          <button
            type="button"
            className="dj-LinkButton"
            title="All runs in a table: sort, filter, compare, clean up"
            onClick={model.openRuns}
          >
            Open table
          </button>
        </div>
      )}
      <ul className="dj-Runs" aria-label="Runs, newest first">
        {runs.list.map(run => (
          <Run
            key={run.id}
            model={model}
            run={run}
            directory={titles.get(keyOf(run))?.directory ?? ''}
            isModuleNeeded={titles.get(keyOf(run))?.isModuleNeeded ?? false}
            isOpen={run.id === openId}
            nowS={nowS}
            onToggle={toggle}
          />
        ))}
      </ul>
      {runs.error !== null && <Failure error={runs.error} onRetry={() => void runs.refresh()} />}
      {runs.hasMore && <More key={runs.list.length} runs={runs} />}
    </>
  );
}

/** The end of the list: when it comes into view, more is fetched. It is mounted again for each page, so that it observes again. */
function More({ runs }: { runs: RunsModel }): JSX.Element {
  const host = React.useRef<HTMLDivElement>(null);
  React.useEffect(() => {
    const observer = new IntersectionObserver(entries => {
      if (entries.some(entry => entry.isIntersecting)) {
        void runs.loadMore();
      }
    });
    if (host.current !== null) {
      observer.observe(host.current);
    }
    return () => observer.disconnect();
  }, [runs]);
  return (
    <div ref={host} className="dj-Loading" role="status">
      Loading…
    </div>
  );
}

function useNow(): number {
  const [nowS, setNowS] = React.useState(() => Date.now() / 1000);
  React.useEffect(() => {
    const timer = window.setInterval(() => setNowS(Date.now() / 1000), TICK_MS);
    return () => window.clearInterval(timer);
  }, []);
  return nowS;
}
