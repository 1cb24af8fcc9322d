// A long table of which only the visible rows exist: 10⁵ entries scroll like ten. Rows have one height; whoever shows
// pages of a longer list is told which rows are in view.

import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useRef } from 'react';
import type { ReactNode } from 'react';

export type VirtualTableProps = {
  readonly label: string;
  readonly columns: readonly { readonly key: string; readonly title: string; readonly width: string }[];
  readonly rows: number;
  readonly rowHeight: number;
  /** Cells in the columns' order; null while the row is still to come. */
  readonly cells: (row: number) => readonly ReactNode[] | null;
  readonly onView?: (first: number, last: number) => void;
};

/** Of a line of text, pixels. */
const lineHeight = 21;

export function VirtualTable({ label, columns, rows, rowHeight, cells, onView }: VirtualTableProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    overscan: 12,
  });
  const items = virtual.getVirtualItems();
  const first = items[0]?.index ?? 0;
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => onView?.(first, last), [onView, first, last]);
  // As many lines of a cell as its row has room for.
  const lines = Math.max(1, Math.floor((rowHeight - 6) / lineHeight));
  const gridTemplateColumns = columns.map(({ width }) => width).join(' ');
  return (
    <div className="scroll" ref={scroller} tabIndex={0} role="region" aria-label={label}>
      <div role="table" aria-label={label} aria-rowcount={rows + 1}>
        <div className="virtual-head" role="row" aria-rowindex={1} style={{ gridTemplateColumns }}>
          {columns.map(({ key, title }) => (
            <span key={key} role="columnheader">
              {title}
            </span>
          ))}
        </div>
        <div role="rowgroup" style={{ position: 'relative', height: `${virtual.getTotalSize()}px` }}>
          {items.map((item) => (
            <div
              key={item.key}
              className="virtual-row"
              role="row"
              aria-rowindex={item.index + 2}
              style={{
                gridTemplateColumns,
                height: `${rowHeight}px`,
                transform: `translateY(${item.start}px)`,
              }}
            >
              {columns.map(({ key }, column) => (
                <span key={key} role="cell" className="number clamped" style={{ WebkitLineClamp: lines }}>
                  {cells(item.index)?.[column] ?? ''}
                </span>
              ))}
            </div>
          ))}
        </div>
      </div>
    </div>
  );
}
