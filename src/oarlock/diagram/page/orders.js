/** Orders and questions to the page's own server. */

/** Post one; what went wrong comes back as a sentence.
 * @param {Extras} extras @param {string} place @param {object} content @returns {Promise<Record<string, any>>} */
export async function order(extras, place, content) {
  try {
    const answer = await fetch(place, {
      method: "POST", body: JSON.stringify(content),
      headers: { "content-type": "application/json", "x-oarlock-token": extras.live?.token ?? "" },
    });
    const text = await answer.text();
    if (answer.headers.get("content-type") === "application/json") return JSON.parse(text);
    return { error: text.trim() };
  } catch (error) {
    return { error: `The page's server does not answer: ${error instanceof Error ? error.message : error}` };
  }
}
