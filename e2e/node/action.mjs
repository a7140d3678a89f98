// Checks files as action.yml with GitHub's own reader and schema, and prints what is wrong: node action.mjs NODE_MODULES FILE…
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { pathToFileURL } from 'node:url'

// The package imports JSON without the word that Node.js asks for.
registerHooks({
  load: (url, context, next) => next(url, url.endsWith('.json') ? { ...context, importAttributes: { type: 'json' } } : context)
})
const [modules, ...files] = process.argv.slice(2)
const { parseAction } = await import(pathToFileURL(modules + '/@actions/workflow-parser/dist/actions/action-parser.js'))
const { NoOperationTraceWriter } = await import(pathToFileURL(modules + '/@actions/workflow-parser/dist/templates/trace-writer.js'))
for (const name of files) {
  const { context, value } = parseAction({ name, content: readFileSync(name, 'utf8') }, new NoOperationTraceWriter())
  for (const { message } of context.errors.getErrors()) console.log(message)
  if (!value) console.log(`${name} is empty`)
}
