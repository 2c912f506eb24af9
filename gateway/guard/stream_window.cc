#include "gateway/guard/stream_window.h"

#include "base/core/check.h"

namespace tidegate::gateway {

GuardText StreamWindow::view(std::string_view role, bool is_last) const {
  GuardText text;
  text.role = role;
  text.all = text_;
  text.origin = origin_;
  text.is_last = is_last;
  return text;
}

void StreamWindow::advance(std::size_t bytes) {
  TG_CHECK(bytes <= text_.size() - origin_);
  origin_ += bytes;
  // Cut at twice the size it is cut to: a byte is moved once, not at every piece.
  if (origin_ <= 2 * context_max_) return;
  std::size_t cut = origin_ - context_max_;
  while (cut < origin_ && (static_cast<unsigned char>(text_[cut]) & 0xc0) == 0x80) ++cut;
  text_.erase(0, cut);
  origin_ -= cut;
  dropped_ += cut;
}

void StreamWindow::clear() {
  text_.clear();
  origin_ = 0;
  dropped_ = 0;
}

}  // namespace tidegate::gateway
