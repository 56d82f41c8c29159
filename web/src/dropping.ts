/** Files of one's own: dropped on the map, or chosen; they are marked where they fall, and shown. */

import * as api from "./api";
import { byId, notice } from "./dom";
import type { State } from "./state";

const MOST = 64_000_000; // bytes that the server takes

export class Dropping {
  constructor(private readonly state: State) {
    const map = byId("pair");
    for (const kind of ["dragover", "drop"] as const) {
      document.addEventListener(kind, (event) => event.preventDefault()); // else the browser leaves the page for the file
    }
    map.addEventListener("dragover", () => map.classList.add("over"));
    map.addEventListener("dragleave", () => map.classList.remove("over"));
    map.addEventListener("drop", (event) => {
      map.classList.remove("over");
      void this.take([...(event.dataTransfer?.files ?? [])]);
    });
    byId("drop").querySelector("input")?.addEventListener("change", (event) => {
      const field = event.target as HTMLInputElement;
      void this.take([...(field.files ?? [])]).then(() => (field.value = ""));
    });
  }

  private async take(files: File[]): Promise<void> {
    const words = byId("progress");
    const before = words.textContent;
    for (const file of files) {
      notice("");
      words.classList.remove("wrong");
      words.textContent = `reading ${file.name}`;
      try {
        if (file.size > MOST) throw new Error(`expected a file of at most ${MOST / 1e6} MB`);
        const guests = await api.drop(file);
        const clips = guests.map((guest) =>
          this.state.addExtra({ whose: `guests/${guest.number}`, name: guest.name, what: "your file", guest }),
        );
        clips.reverse().forEach((clip) => this.state.pin(clip));
        words.textContent = `${file.name}: ${guests.length === 1 ? "1 clip" : `${guests.length} clips`}`;
      } catch (error) {
        words.textContent = before;
        notice(`${file.name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    this.state.emit("guests");
  }
}
