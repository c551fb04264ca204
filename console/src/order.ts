// The order in which people read names: numbers inside them by their value. Keys are kept, because lists
// of ten thousands of names are put in order again and again.

const keys = new Map<string, string>();

function key(name: string): string {
  let made = keys.get(name);
  if (made === undefined) {
    made = name.toLowerCase().replace(/\d+/g, (digits) => digits.padStart(10, '0'));
    if (keys.size > 200_000) keys.clear();
    keys.set(name, made);
  }
  return made;
}

function compare(one: string, two: string): number {
  return one < two ? -1 : one > two ? 1 : 0;
}

export const naturally = (one: string, two: string): number => compare(key(one), key(two));

/** A long list in order, with each name looked at once. */
export function inOrder<T>(list: Iterable<T>, nameOf: (one: T) => string): T[] {
  const keyed = Array.from(list, (one) => ({ key: key(nameOf(one)), one }));
  keyed.sort((one, two) => compare(one.key, two.key));
  return keyed.map(({ one }) => one);
}
