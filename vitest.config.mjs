import { defineConfig } from 'vitest/config';

export default defineConfig({
  // A test that needs a page says so in its first line (`@vitest-environment happy-dom`); the others run without one.
  // A thread for each file starts sooner than a process, and isolates its modules just as well.
  test: { include: ['labextension/tests/**/*.test.ts'], environment: 'node', pool: 'threads' }
});
