// A long list that lives in the host, newest first: only the pages in view are asked for, and asked for again when it grew,
// because a new entry moves every place.

import { useCallback, useEffect, useRef, useState } from 'react';
import type { Reply } from '../../app/bridge.ts';

const pageSize = 200;

export type Pages<Row> = {
  readonly total: number;
  /** null while it is still to come. */
  readonly row: (place: number) => Row | null;
  readonly onView: (first: number, last: number) => void;
};

/** @param version changes when the list may have grown. @param ask one page; keep its identity between renders. */
export function usePages<Row>(
  ask: (from: number, count: number) => Promise<Reply<{ readonly total: number; readonly rows: readonly Row[] }>>,
  version: unknown,
): Pages<Row> {
  const [total, setTotal] = useState(0);
  const [pages, setPages] = useState<ReadonlyMap<number, readonly Row[]>>(new Map());
  const asked = useRef(new Set<number>());
  const view = useRef({ first: 0, last: 0 });

  const askPage = useCallback(
    (page: number): void => {
      if (asked.current.has(page)) return;
      asked.current.add(page);
      void ask(page * pageSize, pageSize).then((reply) => {
        if (!reply.ok) return void asked.current.delete(page);
        setTotal(reply.value.total);
        setPages((before) => new Map(before).set(page, reply.value.rows));
      });
    },
    [ask],
  );
  const onView = useCallback(
    (first: number, last: number): void => {
      view.current = { first, last };
      for (let page = Math.floor(first / pageSize); page <= Math.floor(last / pageSize); page++) askPage(page);
    },
    [askPage],
  );
  useEffect(() => {
    asked.current.clear();
    onView(view.current.first, view.current.last);
  }, [version, onView]);

  const row = useCallback(
    (place: number) => pages.get(Math.floor(place / pageSize))?.[place % pageSize] ?? null,
    [pages],
  );
  return { total, row, onView };
}
