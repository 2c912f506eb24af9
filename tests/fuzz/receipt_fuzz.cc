// A receipt or checkpoint in the hands of whoever wants one that says something else.
//
// Input: a byte of choice; then the bytes of an envelope, or, for a body that is always well-formed, its numbers.
#include <string>
#include <string_view>
#include <vector>

#include "base/receipt/checkpoint.h"
#include "base/receipt/receipt.h"
#include "base/receipt/receipt_check.h"
#include "base/receipt/signature_runs.h"
#include "tests/fuzz/input.h"

namespace tidegate::receipt {
namespace {

constexpr std::string_view kKeyId = "0123456789abcdef";
constexpr std::string_view kSignature = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

void claim_refusal(const Error& error) {
  TG_CLAIM("a bad receipt is refused by name",
           error.code == Code::kInvalidArgument && error.reason == "bad_receipt" && !error.message.empty());
}

void check_receipt(std::string_view bytes) {
  const auto read = decode_signed(bytes);
  if (!read) return claim_refusal(read.error());
  TG_CLAIM("one envelope has one encoding",
           join(read->envelope.body, read->envelope.key_id, read->envelope.signature) == bytes);
  TG_CLAIM("one receipt has one encoding", encode_body(read->receipt) == read->envelope.body);
  if (const Status sums = check_arithmetic(read->receipt); !sums) {
    TG_CLAIM("bad arithmetic is lost data", sums.error().reason == "bad_arithmetic" && !sums.error().field.empty());
  }
  const Status proof = verify_receipt(*read, {});
  TG_CLAIM("without a key nothing is proved", !proof && proof.error().reason == "unknown_key");
  // Digests cost more than all the rest: one receipt in eight is put into a chain.
  ChainCheck chain;
  if (read->receipt.sequence % 8 == 1 && chain.add(*read)) {
    TG_CLAIM("the same receipt twice is one", chain.add(*read) && chain.receipts() == 1 && chain.links() == 0);
  }
}

void check_checkpoint(std::string_view bytes) {
  const auto read = decode_checkpoint(bytes);
  if (!read) return claim_refusal(read.error());
  TG_CLAIM("one checkpoint has one encoding", encode_body(read->checkpoint) == read->envelope.body);
}

/// What billing stores of signatures, from anybody's bytes: read to nothing, or to what stores as it was read.
void check_runs(fuzz::Input& input) {
  std::vector<Digest> links(1 + input.below(9));
  for (std::size_t i = 0; i < links.size(); ++i) links[i][0] = static_cast<std::uint8_t>(i);
  SignatureRuns stored;
  stored.signatures = std::string(input.piece());
  stored.runs = std::string(input.rest());
  const auto read = load_signatures(stored, links);
  if (!read) {
    TG_CLAIM("damaged signatures are named", read.error().reason == "receipt_damaged" && !read.error().message.empty());
    return;
  }
  TG_CLAIM("a signature for each receipt", read->size() == links.size());
  std::vector<std::string_view> views;
  for (const std::string& one : *read) {
    TG_CLAIM("what is read is a signature", is_signature(one));
    views.push_back(one);
  }
  TG_CLAIM("what is read can be stored and read again", load_signatures(store_signatures(links, views), links) == *read);
}

/// Every number and text from the input, and lines that may or may not fit them.
Receipt make(fuzz::Input& input) {
  const auto number = [&input] { return static_cast<std::int64_t>(input.number(input.flag() ? 8 : 2)); };
  const auto money = [&input] {
    constexpr Int128 kMost = static_cast<Int128>(10'000'000'000'000'000'000ULL) * 10'000'000'000'000'000'000ULL - 1;
    const Int128 pico =
        input.flag() ? kMost - static_cast<Int128>(input.number(8)) : static_cast<Int128>(input.number(8));
    return Money::from_pico(input.flag() ? -pico : pico);
  };
  Receipt r;
  r.sequence = static_cast<std::uint64_t>(number());
  r.epoch = static_cast<std::uint64_t>(number());
  r.gateway_id = std::string(input.piece());
  r.model = std::string(input.piece());
  r.prompt_tokens = number();
  r.cached_tokens = number();
  r.completion_tokens = number();
  r.reasoning_tokens = number();
  r.admitted_us = number();
  r.started_us = r.admitted_us;
  r.completed_us = r.admitted_us;
  const std::size_t lines = input.below(5);
  for (std::size_t i = 0; i < lines; ++i) {
    Line line;
    line.meter = std::string(input.piece());
    line.quantity = number();
    line.rate = Rate::from_micro_per_million(number());
    if (input.flag()) {
      line.terms = "terms";
      line.amount = money();
    } else {
      line.amount = line.rate.amount(line.quantity);
    }
    r.lines.push_back(std::move(line));
  }
  r.amount = money();
  return r;
}

}  // namespace
}  // namespace tidegate::receipt

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tidegate::receipt;
  tidegate::fuzz::Input input(data, size);
  switch (input.below(6)) {
    case 0:
      check_receipt(input.rest());
      break;
    case 1:
      check_checkpoint(input.rest());
      break;
    case 2:
      check_receipt(join(input.rest(), kKeyId, kSignature));
      break;
    case 3:
      check_receipt(join(encode_body(make(input)), kKeyId, kSignature));
      break;
    case 4: {
      const auto members = static_cast<std::uint32_t>(2 + input.below(255));
      const auto index = static_cast<std::uint32_t>(input.below(members));
      const std::vector<tidegate::Digest> path(tidegate::merkle::proof_length(index, members));
      const std::string place = write_group_place(kSignature, index, members, path);
      check_receipt(join(encode_body(make(input)), kKeyId, place));
      break;
    }
    default:
      check_runs(input);
      break;
  }
  return 0;
}
