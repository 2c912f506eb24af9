#include "billing/adapters/price_preview.h"

#include "billing/adapters/price_store.h"

namespace tidegate::billing {

Result<price::PriceBook> load_preview_book(pqxx::work& tx, const price::PriceFile& file, Wall from, Wall to) {
  TG_ASSIGN(const auto published, load_prices(tx));
  TG_ASSIGN(auto draft, read_draft(tx, file));
  return preview_book(published.book, std::move(draft), from, to);
}

PreviewProgress preview_step(pqxx::work& tx, const price::PriceBook& book, Wall from, Wall to,
                             PreviewProgress progress) {
  const auto events = load_stored_usage(tx, {from, to, ""}, progress.cursor, kPreviewBatch);
  for (const auto& event : events) {
    progress.cursor = event.id;
    PreviewSum& sum = progress.lines[{event.cell.model, event.cell.currency}];
    ++sum.requests;
    const auto rated = rate_stored(book, event);
    if (!rated) {
      ++sum.unpriced;
      continue;
    }
    const Money before = event.total();
    sum.before += before;
    sum.after += rated->total;
    if (before < rated->total) ++sum.dearer;
    if (rated->total < before) ++sum.cheaper;
  }
  progress.is_finished = events.size() < kPreviewBatch;
  return progress;
}

}  // namespace tidegate::billing
