import { describe, expect, it } from 'vitest';

import { parseMessage } from '../src/messages';

describe('a frame of the WebSocket', () => {
  it('that holds a message is that message', () => {
    const message = { kind: 'scan_progress', path: 'digits', found: 12 };
    expect(parseMessage(JSON.stringify(message))).toEqual(message);
  });

  it.each([
    ['a page of HTML', '<html>502 Bad Gateway</html>'],
    ['half a message', '{"kind": "runs", "runs": ['],
    ['nothing', ''],
    ['null', 'null'],
    ['a number', '17'],
    ['a list', '[]'],
    ['no kind', '{"runs": []}'],
    ['a kind that is not text', '{"kind": 3}'],
    ['a kind that this page does not know', '{"kind": "telepathy"}'],
    ['the name of what every object has', '{"kind": "toString"}'],
    ['bytes', new ArrayBuffer(8)]
  ])('that holds %s is left alone', (_, frame) => {
    expect(parseMessage(frame)).toBeNull();
  });
});
