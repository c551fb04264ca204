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

export function naturally(one: string, two: string): number {
  const [a, b] = [key(one), key(two)];
  return a < b ? -1 : a > b ? 1 : 0;
}
