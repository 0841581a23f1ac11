"""Fitted estimators and pipelines of scikit-learn, with Cython objects, random states and functions of ``__main__``."""

from skips import needs

needs("sklearn")

DEFINITIONS = '''
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import (
    GradientBoostingClassifier, HistGradientBoostingRegressor, IsolationForest, RandomForestClassifier, StackingClassifier
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import BallTree, KDTree, KernelDensity, KNeighborsClassifier
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import Bunch

rng = np.random.default_rng(0)
X = rng.normal(size=(120, 5))
y = (X[:, 0] + X[:, 1] > 0).astype(int)
frame = pd.DataFrame({"n": X[:, 0], "c": ["a", "b", "c"] * 40, "t": ["one two", "two three", "three"] * 40})
texts = list(frame["t"])
SCALE = 3


class Scaled(BaseEstimator, TransformerMixin):
    """An estimator of a notebook."""

    def __init__(self, factor=2):
        self.factor = factor

    def fit(self, X, y=None):
        self.mean_ = X.mean(axis=0)
        return self

    def transform(self, X):
        return (X - self.mean_) * self.factor * SCALE


def closeness(truth, guess):
    return -abs(truth - guess).mean()


columns = ColumnTransformer(
    [("n", StandardScaler(), ["n"]), ("c", OneHotEncoder(handle_unknown="ignore"), ["c"]), ("t", TfidfVectorizer(), "t")]
)
'''
DATA = "__import__('numpy').random.default_rng(1).normal(size=(20, 5))"
FRAME = "__import__('pandas').DataFrame({'n': [1.0, 2.0], 'c': ['a', 'z'], 't': ['two', 'one three']})"


def predicts(make, more=""):
    return f"{make}.fit(X, y)", f"[v.predict({DATA}){more}]"


CASES = {
    "LogisticRegression": predicts("LogisticRegression()", f", v.predict_proba({DATA}), v.coef_"),
    "RandomForest": (
        "RandomForestClassifier(60, random_state=0).fit(X, y)",
        f"[v.predict_proba({DATA}), v.feature_importances_]",
        True,
        "v.estimators_[0].tree_.node_count > 3",
    ),
    "DecisionTree": predicts("DecisionTreeClassifier(random_state=np.random.RandomState(3))", ", v.get_depth()"),
    "GradientBoosting": predicts("GradientBoostingClassifier(n_estimators=5)", f", list(v.staged_predict({DATA}))"),
    "HistGradientBoosting": predicts("HistGradientBoostingRegressor(max_iter=5)"),
    "IsolationForest": predicts("IsolationForest(n_estimators=10, random_state=1)"),
    "KMeans": predicts("KMeans(3, n_init=1, random_state=0)", ", v.cluster_centers_"),
    "DBSCAN": ("DBSCAN().fit(X)", "v.labels_"),
    "Agglomerative": ("AgglomerativeClustering().fit(X)", "v.children_"),
    "PCA": ("PCA(2).fit(X)", f"[v.transform({DATA}), v.explained_variance_ratio_]"),
    "columns": (
        "columns.fit(frame)",
        f"v.transform({FRAME})",
        True,
        "v.named_transformers_['c'].categories_[0][0] == 'a'",
    ),
    "pipeline of a frame": (
        "make_pipeline(columns, TruncatedSVD(2, random_state=0), LogisticRegression()).fit(frame, y)",
        f"v.predict_proba({FRAME})",
        True,
        "v.feature_names_in_.tolist() == ['n', 'c', 't']",
    ),
    "set_output": ("StandardScaler().set_output(transform='pandas').fit(frame[['n']])", f"v.transform({FRAME}[['n']])"),
    "CountVectorizer": (
        "CountVectorizer(tokenizer=lambda text: text.split(), token_pattern=None).fit(texts)",
        "v.transform(['one two two']).toarray()",
    ),
    "Tfidf": (
        "TfidfVectorizer(ngram_range=(1, 2)).fit(texts)",
        "[v.transform(['one two']).toarray(), v.get_feature_names_out()]",
    ),
    "SVC": predicts("SVC(probability=False, random_state=0)", f", v.decision_function({DATA})"),
    "GaussianProcess": (
        "GaussianProcessRegressor(RBF() + WhiteKernel(), random_state=0).fit(X[:30], X[:30, 0])",
        f"[*v.predict({DATA}, return_std=True), repr(v.kernel_)]",
    ),
    "KNN": predicts("KNeighborsClassifier(algorithm='kd_tree')", f", v.kneighbors({DATA})"),
    "KDTree": ("KDTree(X)", f"v.query({DATA}, k=2)", True, "True", True, 4800),
    "BallTree": ("BallTree(X, metric='manhattan')", f"v.query({DATA}, k=2)"),
    "KernelDensity": ("KernelDensity().fit(X)", f"v.score_samples({DATA})"),
    "GridSearch": (
        "GridSearchCV(Ridge(), {'alpha': [0.1, 1]}, cv=KFold(3), scoring=make_scorer(closeness)).fit(X, X[:, 0])",
        f"[v.best_params_, v.predict({DATA}), v.cv_results_['mean_test_score']]",
    ),
    "function of a notebook": ("FunctionTransformer(lambda x: x * SCALE).fit(X)", f"v.transform({DATA})"),
    "numpy function": (
        "FunctionTransformer(np.log1p).fit(X)",
        "v.transform([[1.0]])",
        True,
        "v.func is __import__('numpy').log1p",
    ),
    "estimator of a notebook": (
        "make_pipeline(Scaled(4), LogisticRegression()).fit(X, y)",
        f"[v.predict({DATA}), v[0].transform({DATA}), repr(v[0])]",
    ),
    "stacking": (
        "StackingClassifier([('nb', GaussianNB()), ('tree', DecisionTreeClassifier(random_state=0))], cv=2).fit(X, y)",
        f"v.predict_proba({DATA})",
        True,
        "True",
        False,
    ),
    "union": ("FeatureUnion([('pca', PCA(1)), ('scaled', StandardScaler())]).fit(X)", f"v.transform({DATA})"),
    "target": (
        "TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1).fit(X, y)",
        f"v.predict({DATA})",
    ),
    "MLP": ("MLPRegressor(hidden_layer_sizes=(4,), max_iter=5, random_state=0).fit(X, y)", f"v.predict({DATA})"),
    "not fitted": ("SVC(C=2)", "v.get_params()", True, "v.fit([[0], [1]], [0, 1]).predict([[1]])[0] == 1"),
    "bunch": ("Bunch(data=X, target=y)", "[v.data, v.target]", True, "True", False),
    "classes": ("[SVC, Scaled]", "[one.__name__ for one in v]"),
}


def test_comes_back(zoo, case):
    assert zoo[case] == []


def test_stranger_is_refused_without_an_import(run, zoo):
    found = run("foreign", HASHSTASH_KEY="6b" * 32)
    assert sorted(found["errors"]) == sorted(CASES)
    assert not {"sklearn", "numpy", "scipy"}.intersection(found["imported"])
