// Records sessions of editors that use Yjs, for `tests.rs`: `npm install yjs@13.6.33 && node record.mjs > sessions.txt`.
//
// Each session: lines `u` with an update each, in the order in which they were made; what the text is once all have arrived (`t`,
// UTF-8), its length (`l`), and the state vector (`v`). All but the length in hexadecimal.

import * as Y from 'yjs'

let state = 1
const below = end => {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0
  return (state >>> 8) % end
}
const hex = bytes => Buffer.from(bytes).toString('hex')
const WORDS = ['a', 'bc', 'def', ' ', '\n', 'ä', '€', '😀', 'x😀y', '漢字']

function edit (doc) {
  const text = doc.getText('text')
  const at = below(text.length + 1)
  const rest = text.length - at
  switch (below(12)) {
    case 0: case 1: case 2:
      return text.delete(at, Math.min(rest, 1 + below(4)))
    case 3:
      return text.format(at, Math.min(rest, 1 + below(3)), { bold: below(2) === 0 ? true : null })
    case 4:
      return text.insertEmbed(at, { image: 'i.png', width: below(9) })
    case 5:
      return doc.getArray('list').insert(0, [below(9), 'v', { deep: [1.5, null, true, 'w'] }])
    case 6:
      return doc.getMap('map').set('k' + below(3), below(3) === 0 ? new Y.Text('inner') : new Uint8Array([1, 2]))
    case 7:
      return doc.getXmlFragment('xml').insert(0, [new Y.XmlElement('p')])
    default:
      return text.insert(at, WORDS[below(WORDS.length)])
  }
}

function session (editors, edits) {
  const all = new Y.Doc()
  const updates = []
  const docs = Array.from({ length: editors }, (_, at) => {
    const doc = new Y.Doc()
    doc.clientID = 1000 - at * 7
    doc.on('update', (update, origin) => {
      if (origin !== 'from others') updates.push(update)
    })
    return doc
  })
  for (let count = 0; count < edits; count++) {
    const doc = docs[below(editors)]
    edit(doc)
    if (below(4) === 0) {
      const from = docs[below(editors)]
      Y.applyUpdate(doc, Y.encodeStateAsUpdate(from, Y.encodeStateVector(doc)), 'from others')
    }
  }
  // What a server might hold of it: some updates merged, the state of a document without deleted content, and overlaps.
  const merged = Y.mergeUpdates(updates.slice(0, below(updates.length)).concat(updates.slice(-3)))
  updates.splice(below(updates.length), 0, merged, Y.encodeStateAsUpdate(docs[0]))
  updates.forEach(update => Y.applyUpdate(all, update))
  updates.forEach(update => console.log('u ' + hex(update)))
  const text = all.getText('text')
  console.log('t ' + hex(Buffer.from(text.toString(), 'utf8')))
  console.log('l ' + text.length)
  console.log('v ' + hex(Y.encodeStateVector(all)))
}

for (let count = 0; count < 12; count++) session(1 + count % 4, 10 + count * 3)
