// The types of formgate.js: its events, which bubble from the form, and its two functions.

/** Everything the gateway says; see "The answer to the frontend" in docs/PROTOCOL.md. */
export interface Answer {
  outcome: "accepted" | "stopped" | "redirected" | "unavailable" | "rejected" | "backend_failed" | "failed";
  /** Whether the backend has taken the submission; `null` if nobody knows. */
  submitted: boolean | null;
  msg?: string | null;
  msg_type?: "error" | "warning" | "notification" | "information" | "success" | null;
  messages?: { msg: string; msg_type: string; field: string | null }[];
  /** All that is to be shown, ready-made: the messages that are about no field, and what became of the submission. */
  texts?: string[];
  /** Sentences about changed and suggested fields, with `{field}` and `{value}` in them. */
  words?: { changed: string; emptied: string; use: string };
  /** Field and what is wrong with it. */
  errors?: Record<string, string>;
  focus_on?: string | null;
  redirect?: string | null;
  /** Fields that were changed, and to what. */
  changed?: Record<string, Value>;
  /** Field changes that are only offered. */
  suggestions?: Record<string, Value>;
  request_id?: string;
  title?: string;
  status?: number;
}

export type Value = string | number | boolean | null | (string | number | boolean)[];

/** A form is about to be sent. Cancelled: it is not sent. The data may be changed. */
export interface Submitting {
  method: "GET" | "POST";
  url: URL;
  enctype: string;
  data: FormData;
}

/** An answer came. Cancelled: nothing is shown, followed or reset. */
export interface Answered {
  /** What the gateway says; nothing if only the backend answered. */
  answer?: Answer;
  /** Its body has not been read. */
  response: Response;
}

/** No answer came, or none that is the gateway's accepted or stopped one. Cancelled: nothing is shown. */
export interface Failed {
  answer?: Answer;
  response?: Response;
  /** Why there is no answer. */
  error?: unknown;
}

/** So many bytes of an upload with files have been sent. */
export interface Progress {
  loaded: number;
  total: number;
}

export interface Events {
  "formgate:submitting": CustomEvent<Submitting>;
  "formgate:stopped": CustomEvent<Answered>;
  "formgate:accepted": CustomEvent<Answered>;
  "formgate:redirected": CustomEvent<Answered>;
  "formgate:failed": CustomEvent<Failed>;
  "formgate:progress": CustomEvent<Progress>;
}

declare global {
  interface HTMLElementEventMap extends Events {}
  interface DocumentEventMap extends Events {}
  interface WindowEventMap extends Events {}
}

/** Shows an answer of the gateway in a form, whoever sent it: message, errors, changes, suggestions; moves the focus. */
export function show(form: HTMLFormElement, answer: Partial<Answer>): void;

/** Takes away what was said: of the whole form, or beside some of its fields. */
export function clear(form: HTMLFormElement, fields?: Iterable<Element>): void;
