#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/receipt/receipt.h"

/// What can be proved about receipts with public keys alone. Pure; no clock, no network.
namespace tidegate::receipt {

/// A published key and when it signed. A receipt may be signed later than its completion (a crash between the
/// two), never earlier.
struct PublishedKey {
  Ed25519PublicKey key;
  std::string signer;  ///< "gateway/<id>" or "billing"; "" from a bare PEM file
  std::int64_t valid_from_us = 0;
  std::optional<std::int64_t> valid_to_us;  ///< retired then
};
/// By key id.
using KeyRing = std::map<std::string, PublishedKey>;

/// Finds the key, checks signature and validity. Fails: not_found/unknown_key, data_loss/bad_signature,
/// failed_precondition/key_retired (completed later than the key's end), failed_precondition/wrong_signer.
Status verify_receipt(const SignedReceipt& receipt, const KeyRing& keys);

/// The arithmetic a signature does not prove: counts that fit each other, instants in order, lines = quantity
/// x rate, their sum = amount. Fails: data_loss/bad_arithmetic naming the field and both numbers.
Status check_arithmetic(const Receipt& receipt);

/// Receipts of one tenant are a part of a chain as a rule: a break can be shown only between neighbours.
/// Fed in any order; receipts that are not neighbours prove nothing about each other.
class ChainCheck {
 public:
  /// Fails: data_loss/chain_broken (the neighbour's link is another), data_loss/chain_fork (two receipts with
  /// one number), data_loss/bad_genesis (number 1 with a predecessor, or number 0).
  Status add(const SignedReceipt& receipt);
  std::size_t receipts() const { return receipts_; }
  /// Pairs of neighbours that were compared.
  std::size_t links() const { return links_; }
  /// Of every (gateway, epoch): true when the numbers seen are 1..n without a gap.
  bool is_complete() const;

 private:
  struct Seen {
    Digest link;
    Digest previous;
  };
  std::map<std::pair<std::string, std::uint64_t>, std::map<std::uint64_t, Seen>> chains_;
  std::size_t receipts_ = 0;
  std::size_t links_ = 0;
};

}  // namespace tidegate::receipt
