// Cases of a client program: run one after the other, a line each on stdout.
'use strict'

const { randomBytes } = require('node:crypto')
const { isDeepStrictEqual, inspect } = require('node:util')

// A case that has not ended by then has failed; Apache Kafka on a busy machine is the measure.
const CASE_SECONDS_MAX = 90
const WAIT_SECONDS_MAX = 30

const cases = new Map()

/** Declares a case. */
function add(name, body) {
  if (cases.has(name)) throw new Error(`two cases are called ${name}`)
  cases.set(name, body)
}

/** A name that no other case uses. */
const unique = prefix => `${prefix}-${randomBytes(6).toString('hex')}`

const pause = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds))

/** Repeats an attempt until it returns something true, and returns that. */
async function eventually(what, attempt) {
  const deadline = Date.now() + WAIT_SECONDS_MAX * 1000
  for (;;) {
    const value = await attempt()
    if (value) return value
    if (Date.now() > deadline) throw new Error(`not within ${WAIT_SECONDS_MAX} s: ${what}`)
    await pause(100)
  }
}

function equal(found, expected) {
  if (!isDeepStrictEqual(found, expected)) throw new Error(`found ${inspect(found)}, expected ${inspect(expected)}`)
}

/** The type of the error of a promise that must fail. */
async function refusal(promise) {
  let value
  try {
    value = await promise
  } catch (error) {
    for (let cause = error; cause; cause = cause.cause || (cause.errors && cause.errors[0])) {
      if (cause.groups) return cause.groups[0].error.type
      if (cause.type) return cause.type
    }
    return error.name
  }
  throw new Error(`it was not refused: ${inspect(value)}`)
}

/** Runs `PROGRAM ADDRESS [TEXT]`: the cases with the text in their name, or all. */
async function main() {
  const [address, wanted = ''] = process.argv.slice(2)
  for (const [name, body] of cases) {
    if (!name.includes(wanted)) continue
    let timer
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not done after ${CASE_SECONDS_MAX} s`)), CASE_SECONDS_MAX * 1000)
    })
    try {
      await Promise.race([body(address), late])
      console.log(`PASS ${name}`)
    } catch (error) {
      console.log(`FAIL ${name}: ${String(error).replace(/\s+/g, ' ')}`)
    }
    clearTimeout(timer)
  }
  // What a case that hangs left behind does not keep the program.
  process.exit(0)
}

module.exports = { add, unique, eventually, equal, refusal, main }
