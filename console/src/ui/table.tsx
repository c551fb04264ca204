// A table of any length: in order by a column, page by page, rows to choose where there is something to do
// with them. Only one page is ever drawn, so ten thousand rows cost as much as fifty. What the rows are is
// not known here.

import { useSignal, type Signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import { count, number } from '../format.ts';
import { inOrder } from '../order.ts';
import { Icon } from './icon.tsx';

export const PAGE_ROWS = 50;

export interface Column<T> {
  head: string;
  cell: (row: T) => ComponentChildren;
  /** What it is put in order by; without it, it is not. */
  by?: (row: T) => string | number;
  /** Numbers stand at the end of the line. */
  isNumber?: boolean;
  /** Sentences may be broken anywhere when there is little room. */
  isProse?: boolean;
  /** Left out where there is little room: `wide` first, then `medium`. */
  room?: 'wide' | 'medium';
}

export interface Choosing<T> {
  chosen: Signal<ReadonlySet<string>>;
  /** What a reader hears. */
  label: (row: T) => string;
}

interface Props<T> {
  caption: string;
  columns: Column<T>[];
  rows: readonly T[];
  keyOf: (row: T) => string;
  empty: ComponentChildren;
  choosing?: Choosing<T>;
}

function sortedBy<T>(rows: readonly T[], column: Column<T> | undefined, isDown: boolean): readonly T[] {
  const by = column?.by;
  const [first] = rows;
  if (!by || first === undefined) return rows;
  const sorted = typeof by(first) === 'number'
    ? [...rows].sort((one, two) => Number(by(one)) - Number(by(two)))
    : inOrder(rows, (row) => String(by(row)));
  return isDown ? sorted.reverse() : sorted;
}

export function Table<T>({ caption, columns, rows, keyOf, empty, choosing }: Props<T>) {
  const order = useSignal<{ column: number; isDown: boolean } | null>(null);
  const page = useSignal(0);
  const id = useId();
  if (rows.length === 0) return <>{empty}</>;

  const pages = Math.ceil(rows.length / PAGE_ROWS);
  const at = Math.min(page.value, pages - 1);
  const sorted = sortedBy(rows, columns[order.value?.column ?? -1], order.value?.isDown ?? false);
  const seen = sorted.slice(at * PAGE_ROWS, (at + 1) * PAGE_ROWS);
  const sortBy = (column: number) => {
    const isDown = order.value?.column === column && !order.value.isDown;
    order.value = { column, isDown };
    page.value = 0;
  };

  return (
    <>
      <div class="table-scroll" role="region" aria-labelledby={id} tabIndex={0}>
        <table>
          <caption class="hidden" id={id}>{caption}</caption>
          <thead>
            <tr>
              {choosing && <th class="choose"><ChooseAll rows={rows} keyOf={keyOf} choosing={choosing} /></th>}
              {columns.map((column, nth) => (
                <Head key={column.head} column={column} order={order.value?.column === nth ? order.value.isDown : null} onSort={() => sortBy(nth)} />
              ))}
            </tr>
          </thead>
          <tbody>
            {seen.map((row) => (
              <tr key={keyOf(row)}>
                {choosing && <td class="choose"><ChooseOne row={row} keyOf={keyOf} choosing={choosing} /></td>}
                {columns.map((column) => <td key={column.head} class={look(column)}>{column.cell(row)}</td>)}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {pages > 1 && <Pager at={at} pages={pages} rows={rows.length} onPage={(to) => { page.value = to; }} />}
    </>
  );
}

function look<T>(column: Column<T>): string {
  return [column.isNumber ? 'number' : '', column.isProse ? 'prose' : '', column.room ? `room-${column.room}` : ''].join(' ').trim();
}

function Head<T>({ column, order, onSort }: { column: Column<T>; order: boolean | null; onSort: () => void }) {
  const sorted = order === null ? 'none' : order ? 'descending' : 'ascending';
  return (
    <th scope="col" class={look(column)} aria-sort={column.by ? sorted : undefined}>
      {column.by
        ? <button type="button" class="sort" onClick={onSort}>{column.head}<Icon name={order === null ? 'sort' : order ? 'down' : 'up'} /></button>
        : column.head}
    </th>
  );
}

function withChange(chosen: ReadonlySet<string>, keys: string[], isOn: boolean): ReadonlySet<string> {
  const next = new Set(chosen);
  for (const key of keys) isOn ? next.add(key) : next.delete(key);
  return next;
}

function ChooseAll<T>({ rows, keyOf, choosing }: { rows: readonly T[]; keyOf: (row: T) => string; choosing: Choosing<T> }) {
  const { chosen } = choosing;
  const keys = rows.map(keyOf);
  const some = keys.filter((key) => chosen.value.has(key)).length;
  return (
    <input
      type="checkbox" aria-label={`All ${number(rows.length)}`} checked={some === keys.length}
      ref={(box) => { if (box) box.indeterminate = some > 0 && some < keys.length; }}
      onChange={(event) => { chosen.value = withChange(chosen.value, keys, event.currentTarget.checked); }}
    />
  );
}

function ChooseOne<T>({ row, keyOf, choosing }: { row: T; keyOf: (row: T) => string; choosing: Choosing<T> }) {
  const { chosen, label } = choosing;
  return (
    <input
      type="checkbox" aria-label={label(row)} checked={chosen.value.has(keyOf(row))}
      onChange={(event) => { chosen.value = withChange(chosen.value, [keyOf(row)], event.currentTarget.checked); }}
    />
  );
}

function Pager({ at, pages, rows, onPage }: { at: number; pages: number; rows: number; onPage: (to: number) => void }) {
  const from = at * PAGE_ROWS + 1;
  return (
    <nav class="pager" aria-label="Pages of the table">
      <span>{number(from)}–{number(Math.min(from + PAGE_ROWS - 1, rows))} of {count(rows, 'row')}</span>
      <button type="button" class="button" disabled={at === 0} onClick={() => onPage(at - 1)}>Previous</button>
      <span>page {number(at + 1)} of {number(pages)}</span>
      <button type="button" class="button" disabled={at === pages - 1} onClick={() => onPage(at + 1)}>Next</button>
    </nav>
  );
}
