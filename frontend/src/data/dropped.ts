/** The files behind what was dropped or chosen, folders included. */

import type { Candidate } from "./pieces";

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

/** Return all entries of a folder; the browser hands them out a hundred at a time. */
async function entriesOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (!some.length) return all;
    all.push(...some);
  }
}

async function filesBelow(entry: FileSystemEntry): Promise<Candidate[]> {
  if (entry.isFile) {
    return [{ path: entry.fullPath.replace(/^\/+/, ""), file: await fileOf(entry as FileSystemFileEntry) }];
  }
  const inside = await entriesOf(entry as FileSystemDirectoryEntry);
  return (await Promise.all(inside.map(filesBelow))).flat();
}

/** Return whether a file is the operating system's own and no microscope's. */
function isClutter(path: string): boolean {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return name === ".DS_Store" || name === "Thumbs.db" || name === "desktop.ini" || name.startsWith("._");
}

/**
 * Drop the clutter, and the outer folder where everything lies in one: only its content matters. The
 * folder of a Zarr hierarchy stays: it is the image.
 */
export function tidied(files: Candidate[]): Candidate[] {
  const kept = files.filter(({ path }) => !isClutter(path));
  const top = kept[0]?.path.split("/")[0];
  const oneFolder = kept.every(({ path }) => path.startsWith(`${top}/`));
  if (!top || !oneFolder || top.endsWith(".zarr")) return kept;
  return kept.map(({ path, file }) => ({ path: path.slice(top.length + 1), file }));
}

export async function droppedFiles(transfer: DataTransfer): Promise<Candidate[]> {
  // The list is only readable while the event is handled: take the entries before the first await.
  const entries = [...transfer.items]
    .map((item) => item.webkitGetAsEntry())
    .filter((entry) => entry !== null);
  return tidied((await Promise.all(entries.map(filesBelow))).flat());
}

export function chosenFiles(files: FileList): Candidate[] {
  return tidied([...files].map((file) => ({ path: file.webkitRelativePath || file.name, file })));
}
