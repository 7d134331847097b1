(() => {
  const parse = text => text.match(/[\d.]+/g).map(Number);
  const light = rgb => {
    const [r, g, b] = rgb.map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = one => {
    for (; one; one = one.parentElement) {
      const [r, g, b, a = 1] = parse(getComputedStyle(one).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    throw new Error('no background');
  };
  const faint = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walker.nextNode()) {
    const one = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || one.closest('.hidden, .skip')) continue;
    const style = getComputedStyle(one), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const both = [light(parse(style.color).slice(0, 3)), light(behind(one))];
    const contrast = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    seen += 1;
    if (contrast < (large ? 3 : 4.5)) faint.push(`${walker.currentNode.data} ${contrast}`);
  }
  return JSON.stringify([seen, faint]);
})()
