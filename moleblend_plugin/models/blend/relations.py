"""Relation encoders: how a pair of atoms is shown to the encoder as one attention bias per head.

B molecules, N atoms, P path hops, H heads, D width, K Gaussian kernels (see ``schema``).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moleblend_plugin.models.blend.config import GaussianInit
from moleblend_plugin.models.parts import kernels
from moleblend_plugin.schema import PATH_HOPS, Shown
from moleblend_plugin.vocab import ATOM_SIZES, BOND, BOND_FEATURES, N_STEREO, N_TYPE, SPD

if TYPE_CHECKING:
    from moleblend_plugin.models.packed.functions import Kernels, PackedBias, Places


class Relations(NamedTuple):
    """What the relation encoders read, one field per row of ``schema.INPUT_FIELDS``, and the geometry."""

    atomic_number: Tensor  # uint8 [B, N], 0 pads
    spd: Tensor  # uint8 [B, N, N]
    bond_path: Tensor  # uint8 [B, N, N, P]
    gaussians: Tensor  # [B, N, N, K]


class Relation(nn.Module):
    """A way to show a pair: ``forward(relations)`` gives a bias [B, N, N, H] where bit ``shown`` is set.

    A network all of whose relations have a ``packed_as`` computes without padding on a CPU.

    Attributes:
        shown: its bit.
        packed_as: "codes", if it reads path lengths and bonds alone, so that equal pairs are computed once;
            "distance" of :class:`DistanceRelation`; ``None`` if it needs the batch as it is.
    """

    shown: Shown
    packed_as: ClassVar[Literal["codes", "distance"] | None] = None

    def forward(self, relations: Relations) -> Tensor:
        """Bias [B, N, N, H]."""
        raise NotImplementedError(f"{type(self).__name__}.forward")


class SpdRelation(Relation):
    """Shortest-path length: one row of a table per length (method 3). Output [B, N, N, H]."""

    shown = Shown.SPD
    packed_as = "codes"

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.table = nn.Embedding(SPD.size, heads, padding_idx=SPD.pad)

    def forward(self, relations: Relations) -> Tensor:
        """Bias [B, N, N, H]."""
        bias: Tensor = self.table(relations.spd.int())
        return bias


class EdgeRelation(Relation):
    """Bonds along the path: mean of three embeddings per bond, mixed over heads per hop, averaged over hops.

    ``1 / min(max(spd, 1), 5) * sum_h mean_f(E[f_h]) @ D_h`` (method 3). The product of embeddings and
    hop matrices is formed once per forward as a table [P, bond code, H], then looked up and summed.
    """

    shown = Shown.EDGE
    packed_as = "codes"

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.features = nn.Embedding(sum(feature.size for feature in BOND_FEATURES), heads)
        self.hops = nn.Parameter(torch.empty(PATH_HOPS, heads, heads))
        nn.init.normal_(self.hops, std=0.02)
        codes = torch.tensor([BOND.decode(code) for code in range(1, BOND.size)])
        self.register_buffer("_rows", codes + torch.tensor([0, N_TYPE, N_TYPE + N_STEREO]), persistent=False)
        self._rows: Tensor

    def forward(self, relations: Relations) -> Tensor:
        """Bias [B, N, N, H]."""
        bonds: Tensor = self.features(self._rows).mean(1)  # [bond codes, H]
        table = F.pad(bonds @ self.hops, (0, 0, 1, 0))  # [P, 1 + bond codes, H], row 0: no bond
        codes = relations.bond_path.view(-1, PATH_HOPS)
        total = kernels.sum_of_rows(table, codes)
        length = (relations.spd.to(total.dtype) - 1).clamp(1, PATH_HOPS)  # code -> bonds; unreachable -> P
        bias: Tensor = total.view(*relations.spd.shape, -1) / length[..., None]
        return bias


_LARGEST = 8.0
"""Bound of ``|u|``: beyond it a feature is under 1e-27, and denormal numbers would be slow on a CPU."""


class _Gaussians(torch.autograd.Function):
    """``exp(log_height_k - u^2)`` with ``u = slope_k x + shift_k``, [..., K] from x [...] and three [K].

    The K features of every pair are the largest tensor below the heads. Written out, their gradients are five
    passes over it, where autograd makes fourteen of the plain formula: a quarter of the time.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401  torch's own
        x: Tensor,
        slope: Tensor,
        shift: Tensor,
        log_height: Tensor,
    ) -> Tensor:
        """Features [..., K]."""
        u = torch.addcmul(shift, x[..., None], slope).clamp_(-_LARGEST, _LARGEST)
        features = torch.addcmul(log_height, u, u, value=-1).exp_()
        ctx.save_for_backward(x, slope, u, features)
        return features

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # noqa: ANN401  torch's
        """Gradients of the four inputs, in fp32 also where ``backward`` is called inside of autocast."""
        x, slope, u, features = ctx.saved_tensors
        by_height = (grad * features).flatten(0, -2)  # [pairs, K]
        by_u = by_height * u.flatten(0, -2)  # times -2
        with torch.autocast(grad.device.type, enabled=False):
            by_x, by_slope = (by_u @ (-2 * slope)).view_as(x), -2 * (x.flatten() @ by_u)
        return by_x, by_slope, -2 * by_u.sum(0), by_height.sum(0)


class GaussianDistances(nn.Module):
    """Gaussian features of distances, scaled and shifted by the ordered pair of elements (method 3).

    ``g_k = Normal(m_ij d_ij + b_ij; mean_k, |std_k| + 0.01)``. Computed in fp32 whatever the precision of
    the rest: half-precision coordinates lose up to 0.014 Angstrom (method 6.12).
    """

    def __init__(self, kernels: int, init: GaussianInit) -> None:
        super().__init__()
        elements = ATOM_SIZES[0] + 1
        self.mean = nn.Parameter(torch.empty(kernels))
        self.std = nn.Parameter(torch.empty(kernels))
        self.scale_from = nn.Embedding(elements, 1, padding_idx=0)
        self.scale_to = nn.Embedding(elements, 1, padding_idx=0)
        self.shift_from = nn.Embedding(elements, 1, padding_idx=0)
        self.shift_to = nn.Embedding(elements, 1, padding_idx=0)
        self.init = init
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise as ``init`` says; the network's general initialisation leaves this module alone."""
        scales, shifts = (self.scale_from, self.scale_to), (self.shift_from, self.shift_to)
        if self.init == "published":
            for tensor in (self.mean, self.std, *(table.weight for table in scales + shifts)):
                nn.init.normal_(tensor, std=0.02)
            return
        nn.init.uniform_(self.mean, 0, 3)
        nn.init.uniform_(self.std, 0, 3)
        for table in scales:
            nn.init.ones_(table.weight)
        for table in shifts:
            nn.init.zeros_(table.weight)

    def forward(self, distance: Tensor, atomic_number: Tensor) -> Tensor:
        """Features fp32 [B, N, N, K] of ``distance`` fp32 [B, N, N] in Angstrom."""
        element = atomic_number.int()

        def of_pair(source: nn.Embedding, target: nn.Embedding) -> Tensor:
            from_i: Tensor = source(element).float()  # [B, N, 1]
            to_j: Tensor = target(element).float().transpose(1, 2)  # [B, 1, N]
            return from_i + to_j

        with torch.autocast(distance.device.type, enabled=False):
            scaled = of_pair(self.scale_from, self.scale_to) * distance
            scaled = scaled + of_pair(self.shift_from, self.shift_to)
            features: Tensor = _Gaussians.apply(scaled, *self._shapes())  # type: ignore[no-untyped-call]
            return features

    def _shapes(self) -> tuple[Tensor, Tensor, Tensor]:
        """Slope, shift and logarithm of the height of every kernel, fp32 [K]."""
        width = self.std.float().abs() + 0.01
        slope = math.sqrt(0.5) / width
        return slope, -self.mean.float() * slope, -torch.log(math.sqrt(2 * math.pi) * width)

    def packed(self, atomic_number: Tensor) -> tuple[Tensor, Kernels]:
        """What ``models.packed`` needs of atoms uint8 [A], fp32 [A, 4], and of the kernels."""
        with torch.autocast(atomic_number.device.type, enabled=False):
            tables = (self.scale_from, self.scale_to, self.shift_from, self.shift_to)
            joined = torch.cat([table.weight.float() for table in tables], 1)
            return F.embedding(atomic_number.int(), joined), kernels.packed().Kernels(*self._shapes())


class DistanceRelation(Relation):
    """3D distance: a two-layer network on the Gaussian features (method 3). Output [B, N, N, H]."""

    shown = Shown.DISTANCE
    packed_as = "distance"

    def __init__(self, kernels: int, heads: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(kernels, kernels)
        self.out = nn.Linear(kernels, heads)

    def forward(self, relations: Relations) -> Tensor:
        """Bias [B, N, N, H]."""
        gaussians = relations.gaussians.to(self.hidden.weight.dtype)
        bias: Tensor = self.out(F.gelu(self.hidden(gaussians)))
        return bias


class Distances(NamedTuple):
    """What distances are made features with, of A atoms without padding."""

    coords: Tensor  # fp32 [A, 3] in Angstrom
    scales: Tensor  # fp32 [A, 4]
    kernels: Kernels


class BlendedBias(nn.Module):
    """Sum of the relations' biases, each where its bit is shown. A new relation is one more entry."""

    def __init__(self, heads: int, kernels: int) -> None:
        super().__init__()
        relations: dict[str, Relation] = {
            "spd": SpdRelation(heads),
            "edge": EdgeRelation(heads),
            "distance": DistanceRelation(kernels, heads),
        }
        self.relations = nn.ModuleDict(relations)
        self._shown = [int(relation.shown) for relation in relations.values()]

    def forward(self, relations: Relations, pair_shown: Tensor) -> Tensor:
        """Bias [B, H, N, N] from the relations and the bits ``pair_shown`` uint8 [B, N, N]."""
        total: Tensor | None = None
        for relation, bit in zip(self.relations.values(), self._shown, strict=True):
            shown = (pair_shown & bit).ne(0)[..., None]
            bias = torch.where(shown, relation(relations), 0.0)
            total = bias if total is None else total + bias
        assert total is not None
        return total.permute(0, 3, 1, 2).to(kernels.product_dtype(total))

    def packs(self) -> bool:
        """Whether :meth:`packed` can do what :meth:`forward` does."""
        return all(relation.packed_as for relation in self.relations.values())

    def packed(
        self,
        places: Places,
        relations: Relations,
        pair_shown: Tensor,
        graph_bias: Tensor,
        distances: Distances | None,
    ) -> PackedBias:
        """The biases of a batch without padding.

        Args:
            places: of the batch.
            relations: of the batch; ``gaussians`` are of one pair, [1, 1, 1, K], and only read where no pair
                shows its distance.
            pair_shown: bits uint8 [B, N, N].
            graph_bias: [H], of pairs with the graph token.
            distances: what is known of atoms where pairs show their distance.
        """
        own = [relation for relation in self.relations.values() if isinstance(relation, Relation)]
        coded = [relation for relation in own if relation.packed_as == "codes"]
        far = next(relation for relation in own if isinstance(relation, DistanceRelation))
        bits = sum(int(relation.shown) for relation in coded)
        packed = kernels.packed()
        codes, examples = packed.number_pairs(places, relations.spd, relations.bond_path, pair_shown, bits)
        few = Relations(
            relations.atomic_number,
            relations.spd.flatten()[examples][None, None],
            relations.bond_path.view(-1, PATH_HOPS)[examples][None, None],
            relations.gaussians,
        )
        shown = pair_shown.flatten()[examples][:, None]
        rows: list[Tensor] = [
            torch.where((shown & int(relation.shown)).ne(0), relation(few)[0, 0], 0.0) for relation in coded
        ]
        if distances is None:  # its weights have a gradient all the same, of 0
            rows.append(torch.where(torch.zeros_like(shown, dtype=torch.bool), far(few)[0, 0], 0.0))
        table = torch.stack([row.float() for row in rows]).sum(0).t().contiguous()
        dense = None
        if distances is not None:
            seen = (places.of_pairs(pair_shown) & int(far.shown)).ne(0).to(torch.uint8)
            known = (distances.coords, distances.scales, distances.kernels)
            dense = packed.distance_biases(places, *known, far.hidden, far.out, seen, codes, table)
        bias: PackedBias = packed.PackedBias(places, codes, table, dense, graph_bias.float())
        return bias
