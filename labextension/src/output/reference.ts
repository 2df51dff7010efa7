/** The reference to a run in the data of an output. */
import type { RunReference } from '../../protocol';
import { REFERENCE_VERSION, RUN_MIME_TYPE } from '../../protocol';

const RUN_ID = /^[\w.-]{1,200}$/;

/** Return the reference in an output's data, null if a newer version of detjupyter or something else wrote it. */
export function referenceIn(data: { readonly [mimeType: string]: unknown }): RunReference | null {
  const found = data[RUN_MIME_TYPE] as Partial<RunReference> | null | undefined;
  const isOurs =
    typeof found === 'object' &&
    found?.version === REFERENCE_VERSION &&
    typeof found.run_id === 'string' &&
    RUN_ID.test(found.run_id);
  return isOurs ? { version: REFERENCE_VERSION, run_id: found.run_id!, ended: found.ended ?? null } : null;
}
