/** Uploads with progress. XMLHttpRequest, because fetch cannot tell how much of a body has gone out. */
import type { UploadBody } from "./api/types.gen";
import { newKey } from "./call";
import { ProblemError, toProblem } from "./problem";
import { currentSession, endSession } from "./session";

function read(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Sends one file to a collection. `sent` hears a share in 0 to 1. Throws ProblemError. */
export function upload(collection: string, file: File, sent: (share: number) => void): Promise<UploadBody> {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    form.append("file", file, file.name);
    const request = new XMLHttpRequest();
    request.open("POST", `/api/v1/collections/${encodeURIComponent(collection)}/documents`);
    request.setRequestHeader("Authorization", `Bearer ${currentSession()?.token ?? ""}`);
    request.setRequestHeader("Idempotency-Key", newKey());
    request.upload.onprogress = (event) => {
      if (event.lengthComputable && event.total > 0) sent(event.loaded / event.total);
    };
    request.onload = () => {
      const body = read(request.responseText);
      if (request.status === 401) endSession();
      if (request.status >= 200 && request.status < 300) resolve(body as UploadBody);
      else reject(new ProblemError(toProblem(body, request.status)));
    };
    request.onerror = () => reject(new ProblemError(toProblem(undefined, 0)));
    request.send(form);
  });
}
