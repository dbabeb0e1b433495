/** The way for a second file into the page: a button, or dropping it anywhere. */

import { make } from "oarlock/dom.js";

export class Opening {
  /** @param {(file: File, say: (sentence: string) => void) => Promise<void>} take What is done with it. */
  constructor(take) {
    this.take = take;
    /** Counts what was opened: what is still being read when another comes is not told of any more. */
    this.number = 0;
    this.told = make("p", { class: "told", role: "status" });
    const input = /** @type {HTMLInputElement} */ (make("input", { type: "file", accept: ".jsonl,.gz,.html", hidden: true, onchange: () => this.#open([...(input.files ?? [])]) }));
    this.element = make("div", { class: "opening" },
      make("button", { onclick: () => { input.value = ""; input.click(); } }, "Open a second trace…"),
      make("span", { class: "hint" }, "or drop its file anywhere here: .jsonl, .jsonl.gz, or a page that was drawn of it"),
      input, this.told);
    document.addEventListener("dragover", (event) => this.#hold(event));
    document.addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("dropping"));
    document.addEventListener("drop", (event) => this.#drop(event));
  }

  /** @param {DragEvent} event */
  #hold(event) {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  }

  /** @param {DragEvent} event */
  #drop(event) {
    document.body.classList.remove("dropping");
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    void this.#open([...event.dataTransfer.files]);
  }

  /** @param {File[]} files */
  async #open(files) {
    const [file] = files;
    if (!file) return;
    const number = ++this.number;
    const say = (/** @type {string} */ sentence) => {
      if (number === this.number) this.told.textContent = sentence;
    };
    try {
      if (files.length > 1) throw new Error(`it came with ${files.length - 1} more, and one is compared; the files of one cluster are merged by oarlock draw RUN --against DIRECTORY`);
      await this.take(file, say);
      this.told.classList.remove("wrong");
    } catch (error) {
      this.told.classList.add("wrong");
      say(`${file.name} cannot be compared: ${error instanceof Error ? error.message : error}.`);
    }
  }
}
