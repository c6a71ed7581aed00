// Columns of numbers in the page. Each is decoded when it is asked for the first time.
const columns = (() => {
  const kinds = { Uint8Array, Int8Array, Uint16Array, Uint32Array, Int16Array, Float32Array };
  const decoded = new Map();

  const has = (name) => Boolean(common.byId(`column-${name}`));

  /** Returns the numbers of a column; none if the page has no such column. */
  function column(name) {
    if (!decoded.has(name)) {
      const element = common.byId(`column-${name}`);
      const text = element ? atob(element.textContent) : "";
      const bytes = new Uint8Array(text.length);
      for (let place = 0; place < text.length; place++) bytes[place] = text.charCodeAt(place);
      decoded.set(name, new kinds[element?.dataset.kind ?? "Uint32Array"](bytes.buffer));
    }
    return decoded.get(name);
  }

  /** Returns the place of the last of ascending numbers that is not larger than a number, or -1. */
  function placeBefore(numbers, number) {
    let [low, high] = [0, numbers.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (numbers[middle] <= number) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Returns the place of a number in a column of ascending numbers, or -1. */
  function placeOf(name, number) {
    const place = placeBefore(column(name), number);
    return place >= 0 && column(name)[place] === number ? place : -1;
  }

  return { has, column, placeBefore, placeOf };
})();
