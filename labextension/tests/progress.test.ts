import { describe, expect, it } from 'vitest';

import { barOf, factsOf } from '../live/progress';
import type { SessionRecord, State } from '../protocol';
import { session } from './records';

/** Return the text of the line. */
function line(record: SessionRecord, state?: State): string {
  return factsOf(record, state)
    .map(({ text }) => text.replaceAll('\u00a0', ' '))
    .join(' · ');
}

/** A second training, of 5 epochs, in a session that had trained 5 epochs before. */
const second = session({
  state: 'running',
  activity: 'training',
  batches_trained: 499,
  plan_start_batches: 450,
  plan_target_batches: 900,
  elapsed_s: 60.4,
  plan_elapsed_s: 20.9,
  eta_s: 160.2,
  batches_per_second: 2.345,
  records_per_second: 75.04
});

describe('the line', () => {
  it('is empty before anything has trained', () => {
    expect(line(session())).toBe('');
  });

  it('refers to the training under way alone, and has the totals of the session apart', () => {
    expect(line(second)).toBe(
      '10% · epoch 0.5 of 5 · 49 of 450 batches · 20 s elapsed · 2 min 41 s left · 2.35 batches/s · 75 records/s' +
        ' · session total: epoch 5.5 · 499 batches · 1 min 0 s'
    );
  });

  it('of a first training has no totals: they are the same', () => {
    const first = {
      ...second,
      batches_trained: 49,
      plan_start_batches: 0,
      plan_target_batches: 450,
      elapsed_s: 20.9
    };
    expect(factsOf(first).map(({ name }) => name)).not.toContain('total');
  });

  it('does not round up what is not reached', () => {
    const almost = { ...second, plan_start_batches: 0, plan_target_batches: 1800, batches_trained: 1799 };
    expect(line(almost)).toMatch(/^99% · epoch 19\.9 of 20 · /);
  });

  it('at the end is full', () => {
    expect(line({ ...second, state: 'finished', batches_trained: 900 })).toMatch(
      /^100% · epoch 5\.0 of 5 · 450 of 450 batches/
    );
  });

  it('has neither speed nor time left while nothing trains', () => {
    for (const state of ['paused', 'stopped', 'failed', 'finished'] as const) {
      expect(line({ ...second, state })).toBe(
        '10% · epoch 0.5 of 5 · 49 of 450 batches · 20 s elapsed · session total: epoch 5.5 · 499 batches · 1 min 0 s'
      );
    }
  });

  it('has neither while no batch ends', () => {
    expect(factsOf({ ...second, stuck: 'File "model_def.py", line 1' }).map(({ name }) => name)).toEqual([
      'percent',
      'epoch',
      'batches',
      'elapsed',
      'total'
    ]);
  });

  it('follows the state of the run where that is another one: a dead kernel did not say that it was interrupted', () => {
    expect(line(second, 'interrupted')).not.toContain('left');
  });

  it('says what is done instead of training where it would say how fast it trains', () => {
    const validating: SessionRecord = {
      ...second,
      activity: 'validating',
      validation_done: 3,
      validation_total: 10
    };
    expect(line(validating)).toContain('2 min 41 s left · validating, batch 3 of 10 · session');
    expect(line({ ...second, activity: 'checkpointing' })).toContain('left · saving a checkpoint · session');
  });

  it('of a session between two trainings has only the totals', () => {
    expect(line(session({ batches_trained: 1, elapsed_s: 3.7 }))).toBe('epoch 0.0 · 1 batch · 3 s elapsed');
  });

  it('leaves epochs out where none is known, and of a training that is shorter than one', () => {
    expect(line({ ...second, batches_per_epoch: null })).toMatch(/^10% · 49 of 450 batches/);
    const short = session({
      state: 'paused',
      batches_trained: 7,
      plan_start_batches: 0,
      plan_target_batches: 20
    });
    expect(line(short)).toBe('35% · 7 of 20 batches · 0 s elapsed');
  });
});

describe('the bar', () => {
  it('shows the training', () => {
    expect(barOf(second)).toEqual({ label: 'Training', fraction: 49 / 450 });
  });

  it('stays with the training while that is validated', () => {
    expect(barOf({ ...second, activity: 'validating', validation_done: 1, validation_total: 2 })?.label).toBe(
      'Training'
    );
  });

  it('shows a validation outside of a training', () => {
    expect(barOf(session({ activity: 'validating', validation_done: 1, validation_total: 4 }))).toEqual({
      label: 'Validation',
      fraction: 0.25
    });
  });

  it('is not there when nothing with a known end is under way', () => {
    expect(barOf(session({ activity: 'validating', validation_done: 1 }))).toBeNull();
    expect(barOf(session({ batches_trained: 5 }))).toBeNull();
  });

  it('is never below empty nor above full', () => {
    expect(barOf({ ...second, batches_trained: 400 })?.fraction).toBe(0);
    expect(barOf({ ...second, batches_trained: 1000 })?.fraction).toBe(1);
  });
});
