import { listCollections } from "./api/sdk.gen";
import type { CollectionBody } from "./api/types.gen";
import { call } from "./call";
import { type Loaded, useLoad } from "./hooks";

/** The workspace's collections, to choose from; the first 200 by age. */
export function useCollections(): Loaded<CollectionBody[]> {
  return useLoad("collections", async (signal) => {
    const page = await call(listCollections({ query: { limit: 200 }, signal }));
    return page.items;
  });
}
