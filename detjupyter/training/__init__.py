"""Sessions: one loop for every framework, one thread that drives it, and the controls.

* :mod:`~detjupyter.training.loop`: a generator of events; one step is one batch. It knows no thread, no view and no store.
* :mod:`~detjupyter.training.driver`: the one thread; runs the loop, answers commands, writes to the store.
* :mod:`~detjupyter.training.adapter`: what a framework must offer; ``detjupyter.<framework>.adapter`` holds each one.
* :mod:`~detjupyter.training.session`: what a person holds in hand.
"""
