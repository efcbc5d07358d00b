/** Hands bytes to the browser's download. */
export function saveBlob(blob: Blob, name: string): void {
  // The type is taken away, so that the browser can never open a stored page or script in this origin.
  const address = URL.createObjectURL(new Blob([blob], { type: "application/octet-stream" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name.split(/[\\/]/).at(-1) ?? name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
