"""The interface that a framework implements so that its trials can be trained: adapter, framework and context."""
