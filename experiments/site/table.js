// Sort and filter the leaderboard: a click on a heading sorts, the box and the lists above the table filter.
(() => {
  const table = document.querySelector('#leaderboard');
  if (!table) return;
  const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
  const names = heads.map(h => h.textContent), text = (row, k) => row.cells[k].textContent;
  const box = document.createElement('div');
  box.className = 'filters';
  const search = Object.assign(document.createElement('input'), {type: 'search', placeholder: 'Filter', className: 'form-control'});
  search.setAttribute('aria-label', 'Filter the table');
  const lists = ['data', 'budget'].map(name => {
    const k = names.indexOf(name), list = Object.assign(document.createElement('select'), {className: 'form-select'});
    list.setAttribute('aria-label', `Show one ${name}`);
    list.append(new Option(`any ${name}`, ''), ...[...new Set(rows.map(r => text(r, k)))].sort().map(v => new Option(v, v)));
    return {k, list};
  });
  const filter = () => rows.forEach(row => {
    row.hidden = !row.textContent.toLowerCase().includes(search.value.toLowerCase())
      || lists.some(({k, list}) => list.value && text(row, k) !== list.value);
  });
  const sort = k => {
    const down = heads[k].getAttribute('aria-sort') !== 'descending', number = row => parseFloat(text(row, k));
    heads.forEach(h => h.removeAttribute('aria-sort'));
    heads[k].setAttribute('aria-sort', down ? 'descending' : 'ascending');
    rows.sort((a, b) => (isNaN(number(a)) || isNaN(number(b)) ? text(a, k).localeCompare(text(b, k)) : number(a) - number(b)) * (down ? -1 : 1));
    body.append(...rows);
  };
  heads.forEach((head, k) => {
    const button = Object.assign(document.createElement('button'), {type: 'button', textContent: names[k]});
    button.onclick = () => sort(k);
    head.replaceChildren(button);
  });
  [search, ...lists.map(l => l.list)].forEach(e => { e.oninput = filter; box.append(e); });
  table.parentElement.before(box);
})();
