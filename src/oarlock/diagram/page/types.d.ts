// The shapes of `raft-trace/1` (docs/reference/trace.md) and of what Python hands to the page beside it.

type Pair<T> = [T, T];

interface LogDelta {
  base?: [number, number];
  trunc?: number;
  app?: [number, number, number, string | null][];
}

interface ConfigurationView {
  voters?: string[];
  outgoing?: string[];
  learners?: string[];
}

interface Delta {
  term?: Pair<number>;
  vote?: Pair<string | null>;
  role?: Pair<string>;
  leader?: Pair<string | null>;
  commit?: Pair<number>;
  handed?: Pair<number>;
  applied?: Pair<number>;
  durable?: Pair<number>;
  timer?: Pair<number | null>;
  beat?: Pair<boolean>;
  snapshot?: Pair<number>;
  transfer?: Pair<string | null>;
  conf?: Pair<ConfigurationView>;
  log?: LogDelta;
  next?: Record<string, Pair<number | null>>;
  match?: Record<string, Pair<number | null>>;
  mode?: Record<string, Pair<string | null>>;
  votes?: Record<string, Pair<boolean | null>>;
}

/** One server's whole state; what is absent in a file is at its default. `log` is runs of first, last, term. */
interface ServerState {
  term: number;
  vote: string | null;
  role: string;
  leader: string | null;
  commit: number;
  handed: number;
  applied: number;
  durable: number;
  timer: number | null;
  beat: boolean;
  snapshot: number;
  transfer: string | null;
  conf: ConfigurationView;
  base: [number, number];
  log: [number, number, number][];
  next: Record<string, number>;
  match: Record<string, number>;
  mode: Record<string, string>;
  votes: Record<string, boolean>;
}

interface TraceEvent {
  id: string;
  t: number;
  lc: number;
  k: string;
  src?: string;
  to?: string;
  m?: string;
  by?: string;
  x?: Record<string, any>;
  r?: string[];
  g?: any[][];
  /** A string as `unpack.js` leaves it; see `readsOf`. */
  rd?: Record<string, string> | string;
  w?: Delta;
  cause?: string;
  s?: Partial<ServerState>;
}

interface TraceHeader {
  v: number;
  run: string;
  kind: "sim" | "live";
  seed?: number;
  nodes?: Record<string, string>;
  clock?: string;
  features?: string[];
  payloads?: string;
  schedule?: Record<string, any>;
}

/** What Python knows of a rule: `raft/rules.py`, `trace/flows.py` and the texts of `diagram/`. */
interface RuleText {
  source: string;
  sentence: string;
  operands: string[];
  reads: string[];
  writes: string[];
  /** The box of Figure 2 (or beside it) that the card shows it in. */
  box: string;
  /** The event told as a sentence, with operands in braces. */
  says: string;
  /** What would go wrong without it. */
  reason: string;
}

/** Differences of one kind between two runs (`diagram/comparison.py`), with events of the first and of the second. */
interface ComparedPart {
  title: string;
  rows: { sentence: string; one: string; other: string }[];
  left_out: number;
}

/** How two runs differ. */
interface Comparison {
  note: string;
  first: { sentence: string; one: string; other: string; told_one: string; told_other: string } | null;
  parts: ComparedPart[];
}

/** A second run, packed, and how it differs from the page's own. */
interface Compared {
  names: [string, string];
  question: string;
  trace: string;
  /** Whether the second is the same run without the bug: then the first began to go wrong where they part. */
  is_repaired: boolean;
  comparison: Comparison;
}

/** What is known of a property (`diagram/properties.py`); under the empty name, of those without a text. */
interface PropertyText {
  figure3: string;
  means: string;
  lesson: string;
  rules: string[];
}

/** Where the page's own server is: the stream of events and, of a local cluster, where orders go. */
interface LivePlaces {
  events: string;
  control?: string;
  kv?: string;
  token?: string;
  servers?: { name: string; lane: string }[];
}

/** How the supervisor of a local cluster sees one server. */
interface ServerProcess {
  name: string;
  lane: string;
  state: "running" | "paused" | "down" | "starting";
}

/** Embedded beside the trace: texts, and what was computed of this run. */
interface Extras {
  title: string;
  rules: Record<string, RuleText>;
  messages: Record<string, { fields: Record<string, string[]>; rules: string[] }>;
  inductive: Record<string, string>;
  superseded: Record<string, string>;
  claimless: string[];
  perServer: string[];
  properties: Record<string, PropertyText>;
  /** Words for causes of drops; and by kind of wrong step, the rule that it goes against. */
  words: Record<string, Record<string, string>>;
  compared?: Compared;
  /** The address of a page that leads to this one. */
  back?: string;
  /** Where the page's own server is, if there is one; absent in a file. */
  live?: LivePlaces;
  [name: string]: any;
}
