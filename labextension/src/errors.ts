/** Why a question to the server has no answer. */

/** No answer came: the server is down, or the network is. */
export class UnreachableError extends Error {
  constructor() {
    super('The Jupyter server cannot be reached.');
  }
}

/** The server answered that it cannot; `status` is HTTP's. */
export class AnswerError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly hint: string | null = null
  ) {
    super(message);
  }
}
