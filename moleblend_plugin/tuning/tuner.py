"""The search: trials one after the other until the minutes are used, over any number of calls.

What optuna 5 leaves to its caller is done here. A sampler with a fixed seed that is made anew repeats its
first trials exactly: the seed follows from the number of trials that are there. A trial whose process was
killed stays "running" for ever: the folder's lock is ours, so that no other process runs it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import optuna
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.fitting.options import FitOptions
from moleblend_plugin.tuning.objective import Objective, Outcome
from moleblend_plugin.tuning.space import Space, default_params, with_params
from moleblend_plugin.tuning.trials import AGAIN, DEFAULT, OUTCOME, REASON, SECONDS, tried

USED: Final = "seconds_used"
"""Of all calls together, in the study's attributes."""

_RANDOM_TRIALS: Final = 6
"""Trials before the sampler learns from them."""

_JUDGED_BY: Final = 2
"""Trials that a median is of, at least."""

_REPEATS: Final = 10
"""Trials in a row that are the same as earlier ones: nothing is left to search."""

_OUT_OF_TIME: Final = "the minutes were used up"
_INTERRUPTED: Final = "interrupted"
_NOT_BEGUN: Final = "not begun"

FINISHED: Final = (TrialState.COMPLETE, TrialState.PRUNED)


class OutOfTime(Exception):
    """The minutes are used up."""


class Pruned(Exception):
    """A trial is worse than the median of the others after as many folds."""


class Budget(NamedTuple):
    """How long a search may take.

    Attributes:
        minutes: of all calls together.
        trials: finished ones, of all calls together; 0: any number.
    """

    minutes: float
    trials: int = 0


class Told(NamedTuple):
    """What follows a search: a line; the share that is done, and of what."""

    say: Callable[[str], None] = lambda line: None
    progress: Callable[[float, str], None] = lambda done, what: None


class Tuner:
    """Trials of a study.

    Args:
        study: new or taken up; the folder that it lies in is held by this process.
        space: what is searched.
        default: settings of a fit without a search.
        objective: a trial.
        budget: how long.
        told: who is told.
        began: when this call began, by ``clock``.
        clock: seconds.
    """

    def __init__(
        self,
        study: Study,
        space: Space,
        default: FitOptions,
        objective: Objective,
        budget: Budget,
        told: Told | None = None,
        began: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.study, self.space, self.default = study, space, default
        self._objective, self._budget, self._told, self._clock = objective, budget, told or Told(), clock
        self._before = float(study.user_attrs.get(USED, 0.0))
        self._began = clock() if began is None else began
        self._rises = study.direction == optuna.study.StudyDirection.MAXIMIZE
        self._k = default.ensemble_size
        study.pruner = optuna.pruners.MedianPruner(n_startup_trials=_JUDGED_BY, n_warmup_steps=0)

    @property
    def used(self) -> float:
        """Seconds of all calls together."""
        return self._before + self._clock() - self._began

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self._budget.minutes * 60 - self.used

    def run(self) -> str:
        """Search until the time is used up; why it ended, in words.

        Raises:
            MoleblendError: the default setting does not train, or not within the time.
            KeyboardInterrupt: the user stopped it; the trial begins anew with the next call.
        """
        self._take_up()
        repeats = 0
        while True:
            if self._budget.trials and self._count() >= self._budget.trials:
                return f"the {self._budget.trials} trials that were asked for are done"
            if self.left <= 0:
                self._check_default()
                return _OUT_OF_TIME
            trial = self._ask()
            same = self._same_as(trial)
            repeats = repeats + 1 if same else 0
            if same:
                self._copy(trial, same)
                if repeats >= _REPEATS:
                    return "nothing new is left to try"
                continue
            seconds = self.expected(trial.params)
            if seconds > self.left:
                why = f"{_NOT_BEGUN}: it would take about {seconds:.0f} s of {max(self.left, 0):.0f} s"
                self._end(trial, TrialState.FAIL, why)
                return f"{_OUT_OF_TIME}: another trial would take about {seconds:.0f} s"
            self._try(trial)

    def expected(self, params: dict[str, Any]) -> float:
        """Seconds that a trial will take, by those that are complete; 0 while there is none.

        Trials with the same size of batch are the better measure. Their median, because other work on the
        machine makes single trials slow; one that takes longer is stopped when its time is up.
        """
        complete = [one for one in tried(self.study) if one.state == "complete" and one.seconds > 0]
        alike = [one for one in complete if one.params.get("batch_size") == params.get("batch_size")]
        rates = [one.seconds / self._epochs(one.params) for one in alike or complete]
        return (float(np.median(rates)) if rates else 0.0) * self._epochs(params)

    def _epochs(self, params: dict[str, Any]) -> int:
        return int(params.get("epochs", self.default.epochs))

    def _count(self) -> int:
        return len(self.study.get_trials(deepcopy=False, states=FINISHED))

    def _settled(self) -> int:
        """Trials that are not to be done again; failed ones too, or the same would be proposed for ever."""
        trials = self.study.get_trials(deepcopy=False)
        taken = {one.user_attrs.get(AGAIN) for one in trials}
        ended = (*FINISHED, TrialState.FAIL)
        return sum(one.state in ended and one.number not in taken for one in trials)

    def _ask(self) -> Trial:
        """The next trial: one that waits, else a proposal by the seed and the trials so far."""
        seed = np.random.SeedSequence([self.default.seed, self._settled()]).generate_state(1)[0]
        self.study.sampler = optuna.samplers.TPESampler(
            seed=int(seed), multivariate=True, n_startup_trials=_RANDOM_TRIALS
        )
        return self.study.ask(self.space)

    def _try(self, trial: Trial) -> None:
        began, number = self._clock(), trial.number
        watch = _Watch(self, trial)
        try:
            outcome = self._objective(with_params(self.default, trial.params), watch)
        except Pruned:
            trial.set_user_attr(SECONDS, self._clock() - began)
            self._end(trial, TrialState.PRUNED, f"worse than the median after fold {watch.fold} of {self._k}")
            self._told.say(f"trial {number}: pruned after fold {watch.fold} of {self._k}")
            return
        except OutOfTime:
            self._end(trial, TrialState.FAIL, f"{_OUT_OF_TIME} after {watch.fold} of {self._k} folds")
            return
        except MoleblendError as error:
            self._end(trial, TrialState.FAIL, f"failed: {error}")
            if trial.user_attrs.get(DEFAULT):
                raise
            self._told.say(f"trial {number} failed: {error}")
            return
        except (KeyboardInterrupt, SystemExit):
            self._end(trial, TrialState.FAIL, f"{_INTERRUPTED} after {watch.fold} of {self._k} folds")
            raise
        trial.set_user_attr(SECONDS, self._clock() - began - outcome.once)
        self._keep(trial, outcome)

    def _keep(self, trial: Trial, outcome: Outcome) -> None:
        """Finish a trial with the better of its scores."""
        stacking = outcome.best(self._rises)
        value = outcome.mean(stacking)
        if value != value:
            self._end(trial, TrialState.FAIL, "failed: the score is undefined in every fold")
            if trial.user_attrs.get(DEFAULT):
                raise MoleblendError(
                    "the score is undefined in every fold: a fold needs molecules of both classes, or a value"
                )
            return
        kept = {"folds": outcome.folds, "epoch": outcome.epoch, "stacking": stacking}
        trial.set_user_attr(OUTCOME, kept)
        before = [one.value for one in tried(self.study) if one.state == "complete"]
        self._end(trial, TrialState.COMPLETE, value=value)
        better = not before or (value > max(before) if self._rises else value < min(before))
        what = "default" if trial.user_attrs.get(DEFAULT) else "best so far" if better else ""
        self._told.say(f"trial {trial.number}: {value:.4g}{f' ({what})' if what else ''}")

    def _end(self, trial: Trial, state: TrialState, reason: str = "", value: float | None = None) -> None:
        if reason:
            trial.set_user_attr(REASON, reason)
        self.study.tell(trial, value, state)
        self.save_time()

    def save_time(self) -> None:
        """Keep how much of the time is used."""
        self.study.set_user_attr(USED, self.used)

    def _same_as(self, trial: Trial) -> FrozenTrial | None:
        """An earlier trial of the same settings, which would give the same again."""
        for one in self.study.get_trials(deepcopy=False, states=FINISHED):
            if one.params == trial.params:
                return one
        return None

    def _copy(self, trial: Trial, same: FrozenTrial) -> None:
        for name, value in same.user_attrs.items():
            if name not in (DEFAULT, SECONDS, AGAIN, REASON):
                trial.set_user_attr(name, value)
        if same.state == TrialState.COMPLETE:
            self._end(trial, TrialState.COMPLETE, value=same.value)
        else:
            self._end(trial, TrialState.PRUNED, f"the same as trial {same.number}")

    def _take_up(self) -> None:
        """End what a killed process left running, and resume first what was stopped."""
        for one in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.study.tell(one.number, state=TrialState.FAIL)
        trials = self.study.get_trials(deepcopy=False)
        taken = {one.user_attrs.get(AGAIN) for one in trials}
        for one in trials:
            if one.number not in taken and self._goes_on(one, trials):
                kept = {AGAIN: one.number} | ({DEFAULT: True} if one.user_attrs.get(DEFAULT) else {})
                self.study.enqueue_trial(one.params, user_attrs=kept)
        alive = (*FINISHED, TrialState.WAITING)
        if not any(
            one.user_attrs.get(DEFAULT) for one in self.study.get_trials(deepcopy=False, states=alive)
        ):
            self.study.enqueue_trial(default_params(self.space, self.default), user_attrs={DEFAULT: True})

    def _goes_on(self, one: FrozenTrial, trials: list[FrozenTrial]) -> bool:
        """Whether a trial was stopped, not by a fault of its own: what ends its process twice is one."""
        if one.state != TrialState.FAIL or not one.params:
            return False
        reason = str(one.user_attrs.get(REASON, ""))
        if reason:
            return reason.startswith((_OUT_OF_TIME, _INTERRUPTED, _NOT_BEGUN))
        killed = [
            other
            for other in trials
            if other.state == TrialState.FAIL
            and other.params == one.params
            and not other.user_attrs.get(REASON)
        ]
        return len(killed) < 2

    def _check_default(self) -> None:
        if not any(one.is_default and one.state == "complete" for one in tried(self.study)):
            raise MoleblendError(
                f"--minutes {self._budget.minutes:g}: the default setting alone takes longer; the same "
                "command with more minutes resumes it"
            )

    def told(self, trial: Trial, share: float) -> None:
        """Pass on how far a trial is."""
        done = min(0.999, max(self.used / (self._budget.minutes * 60), 0.0))
        self._told.progress(done, f"trial {trial.number}, {share:.0%}")

    def worse(self, loss: float) -> float:
        """A loss in the direction of the study, which the pruner looks at."""
        return -loss if self._rises else loss


class _Watch:
    """Ends a trial that the others leave behind, or that has no time."""

    def __init__(self, tuner: Tuner, trial: Trial) -> None:
        self._tuner, self._trial = tuner, trial
        self.fold = 0

    def progress(self, share: float) -> None:
        """Report, and end the trial where the time is used up."""
        self._tuner.told(self._trial, share)
        if self._tuner.left <= 0:
            raise OutOfTime

    def folds(self, done: int, of: int, loss: float) -> None:
        """Report to the pruner; the default is never pruned, nor what has no fold to go."""
        self.fold = done
        self._tuner.save_time()
        self._trial.report(self._tuner.worse(loss), done)
        if done < of and not self._trial.user_attrs.get(DEFAULT) and self._trial.should_prune():
            raise Pruned
