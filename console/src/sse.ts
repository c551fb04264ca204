// Server-sent events out of a text that arrives in pieces. Written here and not left to EventSource, which
// neither tells the status of a refused stream nor works where requests go through a bridge.

export interface SentEvent {
  type: string;
  data: string;
  id: string | null;
}

export async function* sentEvents(text: AsyncIterable<string>, onPiece: () => void): AsyncIterable<SentEvent> {
  let rest = '';
  let event = { type: '', data: [] as string[], id: null as string | null };
  for await (const piece of text) {
    onPiece();
    rest += piece;
    // A piece may end between the two characters of one line end.
    const whole = rest.endsWith('\r') ? rest.slice(0, -1) : rest;
    const lines = whole.split(/\r\n|\r|\n/);
    rest = (lines.pop() ?? '') + rest.slice(whole.length);
    for (const line of lines) {
      if (line === '') {
        if (event.data.length > 0) {
          yield { type: event.type || 'message', data: event.data.join('\n'), id: event.id };
        }
        event = { type: '', data: [], id: event.id };
        continue;
      }
      const colon = line.indexOf(':');
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'event') event.type = value;
      else if (field === 'data') event.data.push(value);
      else if (field === 'id' && !value.includes('\0')) event.id = value;
    }
  }
}
