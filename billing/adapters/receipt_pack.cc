#include "billing/adapters/receipt_pack.h"

#include <fmt/format.h>

#include <utility>

namespace tidegate::billing {
namespace {

constexpr std::size_t kLengthBytes = 2;

std::unexpected<Error> damaged(const ReceiptPack& pack, std::string_view what) {
  return fail(
      Code::kDataLoss, "receipt_damaged",
      fmt::format("receipts {}..{} of gateway {} epoch {}: {}", pack.first, pack.last, pack.gateway, pack.epoch, what));
}

}  // namespace

void ReceiptPack::add(std::string_view body) {
  std::string stored(body);
  receipt::set_position(stored, static_cast<std::uint64_t>(++last), Digest{});
  bodies += static_cast<char>(stored.size() >> 8 & 255);
  bodies += static_cast<char>(stored.size() & 255);
  bodies += stored;
}

Result<std::vector<UnpackedReceipt>> unpack(const ReceiptPack& pack) {
  std::vector<UnpackedReceipt> out;
  std::string_view rest = pack.bodies;
  Digest link = pack.previous;
  while (!rest.empty()) {
    if (rest.size() < kLengthBytes) return damaged(pack, "a length is cut");
    const std::size_t size =
        static_cast<std::size_t>(static_cast<std::uint8_t>(rest[0])) << 8 | static_cast<std::uint8_t>(rest[1]);
    rest.remove_prefix(kLengthBytes);
    if (size < receipt::kBodyBytesMin || size > rest.size()) return damaged(pack, "a body is cut");
    UnpackedReceipt one;
    one.body = rest.substr(0, size);
    rest.remove_prefix(size);
    receipt::set_position(one.body, static_cast<std::uint64_t>(pack.first) + out.size(), link);
    link = receipt::link_of(one.body);
    one.link = link;
    out.push_back(std::move(one));
  }
  if (out.size() != pack.size()) return damaged(pack, fmt::format("{} bodies", out.size()));
  std::vector<Digest> links;
  links.reserve(out.size());
  for (const UnpackedReceipt& one : out) links.push_back(one.link);
  auto signatures = receipt::load_signatures(pack.signatures, links);
  if (!signatures) return damaged(pack, signatures.error().message);
  for (std::size_t i = 0; i < out.size(); ++i) out[i].signature = std::move((*signatures)[i]);
  return out;
}

}  // namespace tidegate::billing
