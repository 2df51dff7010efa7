import type { AnyModel } from '@anywidget/types';

import { LiveView } from './view';

/** The front end of `detjupyter.widgets.live.LiveView`; anywidget calls `render` for every view and the result when it goes. */
export default {
  render({ model, el }: { model: AnyModel; el: HTMLElement }): () => void {
    const view = new LiveView(model, el);
    return () => view.dispose();
  }
};
